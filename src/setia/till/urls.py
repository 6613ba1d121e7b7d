"""Addresses of the till."""

from django.urls import path

from setia.till import cards, redeeming, views

app_name = "till"
urlpatterns = [
    path("", views.main, name="main"),
    path("cari", views.find, name="find"),
    path("hitung", views.preview, name="preview"),
    path("beri", views.give, name="give"),
    path("cap", views.stamp, name="stamp"),
    path("hasil/<str:event>", views.result, name="result"),
    path("batal/<str:event>", views.undo, name="undo"),
    path("batalkan/<str:event>", views.void, name="void"),
    path("daftar", views.register, name="register"),
    path("hadiah/<str:member>", redeeming.shelf, name="shelf"),
    path("tukar/<str:member>/<str:reward>", redeeming.redeem, name="redeem"),
    path("kupon/<str:code>", redeeming.voucher, name="voucher"),
    path("kode/<str:code>", redeeming.printed, name="printed"),
    path("kartu/jual/<str:member>", cards.sell, name="card_sell"),
    path("kartu/<str:code>", cards.card, name="card"),
    path("outlet", views.choose_outlet, name="outlet"),
]
