"""Addresses of the console."""

from django.urls import path

from setia.console import corrections, imports, merging, people, programme, record, views

app_name = "console"
urlpatterns = [
    path("", views.overview, name="overview"),
    path("masuk", views.sign_in, name="sign_in"),
    path("keluar", views.sign_out, name="sign_out"),
    path("member", views.members_list, name="members"),
    path("member/<str:member>", views.member, name="member"),
    path("member/<str:member>/nomor", views.phone, name="phone"),
    path("member/<str:member>/tarik-izin", views.withdraw, name="withdraw"),
    path("member/<str:member>/koreksi", views.adjust, name="adjust"),
    path("member/<str:member>/batalkan/<str:event>", corrections.void, name="void"),
    path("member/<str:member>/pisahkan/<str:event>", merging.unmerge, name="unmerge"),
    path("member/<str:member>/profil", people.profile, name="profile"),
    path("member/<str:member>/level", people.tier, name="tier"),
    path("undangan", people.invitations_page, name="invitations"),
    path("undangan/<str:invitation>/hentikan", people.stop_invitation, name="invitation_stop"),
    path("undangan/daftar", people.expected, name="expected"),
    path("member-ganda", merging.duplicates, name="duplicates"),
    path("member-ganda/gabung", merging.merge, name="merge"),
    path("menunggu", corrections.waiting, name="waiting"),
    path("impor", imports.listed, name="imports"),
    path("impor/<int:number>/batalkan", imports.undo, name="import_undo"),
    path("program", programme.programme, name="programme"),
    path("program/draf", programme.start, name="programme_start"),
    path("program/draf/<str:draft>", programme.draft, name="draft"),
    path("program/draf/<str:draft>/teks", programme.text, name="draft_text"),
    path("program/draf/<str:draft>/urutan", programme.arrange, name="arrange"),
    path("program/draf/<str:draft>/putusan", programme.decide, name="draft_decide"),
    path("program/draf/<str:draft>/aturan/<str:place>", programme.rule, name="rule"),
    path("program/versi/<int:number>", programme.version, name="version"),
    path("program/versi/<int:number>/kembali", programme.rollback, name="rollback"),
    path("persetujuan", views.approvals, name="approvals"),
    path("persetujuan/<str:waiting>", views.approve, name="approve"),
    path("jejak", views.trail, name="trail"),
    path("bulan", record.months, name="months"),
    path("bulan/<str:month>/tutup", record.close_month, name="close_month"),
    path("kejadian/<str:event>/sesudah", record.later, name="later"),
    path("qr", views.poster, name="poster"),
]
