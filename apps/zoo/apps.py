from django.apps import AppConfig


class ZooConfig(AppConfig):
    name = "apps.zoo"
    label = "zoo"
