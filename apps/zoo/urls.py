from django.urls import URLPattern

app_name = "zoo"
urlpatterns: list[URLPattern] = []
