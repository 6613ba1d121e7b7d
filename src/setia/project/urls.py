"""All addresses."""

from django.urls import include, path

from setia.project.api import api

urlpatterns = [
    path("", api.urls),
    path("console/", include("setia.console.urls")),
    path("kasir/", include("setia.till.urls")),
    path("", include("setia.portal.urls")),
]
handler404 = "setia.web.pages.not_found"
handler500 = "setia.web.pages.broken"
