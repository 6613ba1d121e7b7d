"""All addresses."""

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []
handler404 = "setia.web.pages.not_found"
handler500 = "setia.web.pages.broken"
