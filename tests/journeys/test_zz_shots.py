from tests.journeys.test_redeeming import *
from tests.journeys.test_redeeming import _member_id, browser, context, page, catalogue, member, beside
import pytest
from tests.journeys.test_journeys import SIZES, till
@pytest.mark.parametrize("size,lang", [("phone","id"),("desk","en")])
def test_shots(browser, served, size, lang):
    context = browser.new_context(base_url=served.url, viewport=SIZES[size], locale="id-ID")
    page = context.new_page()
    page.set_default_timeout(8000)
    phone, own = member(page, served)
    till(page); page.fill("#q", phone); page.keyboard.press("Enter")
    page.click(".now a:has-text('Mug Senja')"); page.click("text=Simpan jadi kupon")
    voucher = str(page.locator("main p a").first.get_attribute("href")); name = voucher.rpartition("/")[2]; result=page.url
    till(page); page.fill("#q", phone); page.keyboard.press("Enter")
    page.click(".now a:has-text('Diskon')"); page.click("text=Tukar jadi kupon"); sale=page.locator("main a.primary").get_attribute("href")
    id = beside(lambda: _member_id(served, phone))
    context.add_cookies([{"name": "setia_lang", "value": lang, "url": served.url}])
    A = {"home":own,"hadiah":f"{own}/hadiah","mug":f"{own}/hadiah/mug","kursi":f"{own}/hadiah/kursi","tas":f"{own}/hadiah/tas","tukar":f"{own}/hadiah/hemat/tukar","kupon":f"{own}/kupon","satu":f"{own}/kupon/{name}","cap":f"{own}/cap",
     "t_main":f"/kasir/?m={id}","t_sale":sale,"t_shelf":f"/kasir/hadiah/{id}","t_redeem":f"/kasir/tukar/{id}/mug","t_no":f"/kasir/tukar/{id}/tas","t_voucher":voucher,"t_result":result}
    for n,a in A.items():
        page.goto(a)
        if n=="t_sale": page.fill("#amount","100.000"); page.wait_for_timeout(900)
        page.screenshot(path=f"/tmp/shots_screens/{size}_{n}.png", full_page=True)
    context.close()
