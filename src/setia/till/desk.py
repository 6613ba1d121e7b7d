"""The till's frame: who stands at it, in which outlet, and the page around what it shows. It books nothing."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse

from setia.kit import ids
from setia.kit.refusals import NotFound, Refusal
from setia.tenancy import service as tenancy
from setia.tenancy.types import Caller, Place
from setia.web import pages

OUTLET = "till_outlet"
OWN = "till-"  # how the numbers start that this till gives to what it books

TillPage = Callable[..., HttpResponse]


def new_key() -> str:
    """A number for what a form will book: sent again, it is booked once."""
    return f"{OWN}{ids.new()}"


def for_staff(page: TillPage) -> Callable[..., HttpResponse]:
    """A page for staff who may sell, with who they are and where. Refuses `not_allowed`."""

    @wraps(page)
    def view(request: HttpRequest, **more: str) -> HttpResponse:
        staff: Any = request.user
        if not staff.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not tenancy.may(staff, "till"):
            raise Refusal("not_allowed", status=403)
        found = tenancy.programmes(staff.merchant_id)
        if not found:
            raise NotFound("programme")
        return page(request, tenancy.staff_caller(staff, found[0]), **more)

    return view


def places(request: HttpRequest, caller: Caller) -> tuple[list[Place], Place | None]:
    """The outlets to choose from and the one this till stands in: the cashier's own, the chosen, or the only one."""
    staff: Any = request.user
    found = tenancy.outlets(caller.programme.id)
    wanted = staff.outlet_id or request.session.get(OUTLET, "")
    here = next((place for place in found if str(place.id) == str(wanted)), None)
    return found, here or (found[0] if len(found) == 1 else None)


def show(
    request: HttpRequest, caller: Caller, page: str, values: dict[str, Any], refusal: Refusal | None = None
) -> HttpResponse:
    staff: Any = request.user
    all_of, here = places(request, caller)
    shared = {
        "programme": caller.programme,
        "staff": staff,
        "places": all_of,
        "place": here,
        "may_console": tenancy.may(staff, "console"),
        "may_move": staff.outlet_id is None and len(all_of) > 1,
    }
    return pages.form(request, f"till/{page}.html", {**shared, **values}, refusal)
