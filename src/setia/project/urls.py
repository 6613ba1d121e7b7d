"""All addresses."""

from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from setia.project.api import api
from setia.web import pages


def healthz(request: HttpRequest) -> HttpResponse:
    """Whether requests can be served: the database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns = [
    path("healthz", healthz),
    path("docs/errors", pages.refusals),
    path("", api.urls),
    path("console/", include("setia.console.urls")),
    path("kasir/", include("setia.till.urls")),
    path("log/", include("setia.proof.published")),
    path("", include("setia.portal.urls")),
]
handler404 = "setia.web.pages.not_found"
handler500 = "setia.web.pages.broken"
