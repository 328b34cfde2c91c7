from django.apps import AppConfig


class KindredConfig(AppConfig):
    name = "kindred"
