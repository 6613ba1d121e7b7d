"""Addresses of the members' pages, and the front."""

from django.urls import path

from setia.portal import rewards, terms, views

app_name = "portal"
urlpatterns = [
    path("", views.front, name="front"),
    path("g/<slug:slug>", views.join, name="join"),
    path("g/<slug:slug>/halo/<str:word>", views.welcome, name="welcome"),
    path("p/<slug:slug>/syarat", terms.current, name="terms"),
    path("p/<slug:slug>/syarat/<int:number>", terms.version, name="terms_version"),
    path("p/<slug:slug>/syarat/perubahan", terms.changes, name="terms_changes"),
    path("p/<slug:slug>/gambar/<str:name>", views.picture, name="picture"),
    path("m/<str:token>", views.home, name="home"),
    path("m/<str:token>/riwayat", views.history, name="history"),
    path("m/<str:token>/riwayat/<str:event>", views.happening, name="happening"),
    path("m/<str:token>/bukti/<str:entry>", views.proof, name="proof"),
    path("m/<str:token>/segel", views.seal, name="seal"),
    path("s/<str:word>", views.receipt, name="receipt"),
    path("s/<str:word>/<str:entry>", views.public_proof, name="public_proof"),
    path("bukti", views.verifier, name="verifier"),
    path("m/<str:token>/profil", views.profile, name="profile"),
    path("m/<str:token>/level", views.level, name="level"),
    path("m/<str:token>/hadiah", rewards.listed, name="rewards"),
    path("m/<str:token>/hadiah/<str:name>", rewards.detail, name="reward"),
    path("m/<str:token>/hadiah/<str:name>/tukar", rewards.redeem, name="redeem"),
    path("m/<str:token>/kupon", rewards.vouchers, name="vouchers"),
    path("m/<str:token>/kupon/<str:code>", rewards.voucher, name="voucher"),
    path("m/<str:token>/cap", rewards.stamps, name="stamps"),
    path("m/<str:token>/kartu", rewards.cards, name="giftcards"),
    path("m/<str:token>/kartu/<str:code>", rewards.card, name="giftcard"),
    path("m/<str:token>/ajak", views.friends, name="friends"),
]
