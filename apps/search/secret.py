"""The key that the site shows to the inference process, made from the secret that both know."""

from django.utils.crypto import salted_hmac

HEADER = "X-Kindred-Inference"


def token() -> str:
    """HMAC-SHA256 of a fixed word by SECRET_KEY: the same in every process of one site, useless elsewhere."""
    return salted_hmac("kindred.apps.search.inference", "v1", algorithm="sha256").hexdigest()
