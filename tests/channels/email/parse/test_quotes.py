"""The new words of a mail, in the languages and clients of our customers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from channels.email.quotes import reply_text

Shown = Callable[[str], dict[str, Any]]

INTRODUCTIONS = [
    "On Sat, 21 Nov 2026 at 10:00, Support <s@x.org> wrote:",
    "On Nov 21, 2026, at 10:00 AM, Support <s@x.org> wrote:",
    "On Sat, 21 Nov 2026 at 10:00, Support of a Shop with a Long Name <\nsupport@shop.example> wrote:",
    "On Sat, 21 Nov 2026 at 10:00, Support of a Shop with a Long Name\n<support@shop.example>\nwrote:",
    "Support wrote:",
    "Quoting Support <s@x.org>:",
    "сб, 21 нояб. 2026 г. в 10:00, Support <s@x.org>:",
    "Суббота, 21 ноября 2026, 10:00 +03:00 от Support <s@x.org>:",
    "21.11.2026, 10:00, \"Support\" <s@x.org>:",
    "21.11.2026 10:00, Поддержка пишет:",
    "21 ноября 2026 г., в 10:00, Поддержка <s@x.org> написал(а):",
    "Ar Sad, 21 Tach 2026 am 10:00, ysgrifennodd Support <s@x.org>:",
    "Ar 21/11/2026 10:00, ysgrifennodd Cymorth:",
    "Support <s@x.org>, 21 noy 2026, şən, 10:00 tarixində yazdı:",
    "21 noyabr 2026, şənbə tarixində Dəstək (<s@x.org>) yazıb:",
    "shan, 21-noy, 2026, 10:00 Support <s@x.org> yozdi:",
    "21.11.2026 10:00 да Ёрдам <s@x.org> ёзди:",
    "2026 оны 11-р сарын 21, Бя 10:00 цагт Support <s@x.org> бичсэн:",
    "2026-11-21 10:00-д Дэмжлэг бичсэн:",
    "Am Sa., 21. Nov. 2026 um 10:00 Uhr schrieb Support <s@x.org>:",
    "Am 21.11.26 um 10:00 schrieb Support:",
    "Le sam. 21 nov. 2026 à 10:00, Support <s@x.org> a écrit :",
    "Le 21/11/2026 à 10:00, Support a écrit :",
    "El sáb, 21 nov 2026 a las 10:00, Support (<s@x.org>) escribió:",
    "Il giorno sab 21 nov 2026 alle ore 10:00 Support <s@x.org> ha scritto:",
    "Em sáb., 21 de nov. de 2026 às 10:00, Support <s@x.org> escreveu:",
    "Op za 21 nov 2026 om 10:00 schreef Support <s@x.org>:",
    "sob., 21 lis 2026 o 10:00 Support <s@x.org> napisał(a):",
    "so 21. 11. 2026 v 10:00 odesílatel Support <s@x.org> napsal:",
    "Den lör 21 nov. 2026 kl 10:00 skrev Support <s@x.org>:",
    "la 21. marrask. 2026 klo 10.00 Support (s@x.org) kirjoitti:",
    "Support <s@x.org> ezt írta (időpont: 2026. nov. 21., Szo, 10:00):",
    "Support <s@x.org>, 21 Kas 2026 Cmt, 10:00 tarihinde şunu yazdı:",
    "сб, 21 лист. 2026 р. о 10:00 Support <s@x.org> пише:",
    "2026年11月21日(土) 10:00 Support <s@x.org>:",
    "Support <s@x.org> 于2026年11月21日周六 10:00写道:",
    "2026년 11월 21일 (토) 오전 10:00, Support <s@x.org>님이 작성:",
]  # fmt: skip


@pytest.mark.parametrize("introduction", INTRODUCTIONS)
def test_a_marked_quote_goes_with_its_introduction(introduction: str) -> None:
    assert reply_text(f"Thank you!\n\n{introduction}\n\n> old words\n>\n> more") == "Thank you!"


@pytest.mark.parametrize("introduction", INTRODUCTIONS)
def test_what_is_written_under_a_quote_stays(introduction: str) -> None:
    assert reply_text(f"{introduction}\n> old words\n\nThank you!") == "Thank you!"


SURE = [each for each in INTRODUCTIONS if "@" in each and ":0" in each and "Quoting" not in each]


@pytest.mark.parametrize("introduction", SURE)
def test_a_quote_without_marks_goes_where_its_introduction_names_address_and_time(introduction: str) -> None:
    assert reply_text(f"Thank you!\n\n{introduction}\n\nold words\nmore\n") == "Thank you!"


BLOCKS = [
    "From: Support <s@x.org>\nSent: Saturday, November 21, 2026 10:00 AM\nTo: Ann\nSubject: RE: Order",
    "From: Support\nSent: Saturday, November 21, 2026 10:00 AM\nTo: Ann\nSubject: Order",
    "*From:* Support <s@x.org>\n*Sent:* Saturday, 21 November 2026 10:00\n*To:* Ann\n*Subject:* Order",
    "Von: Support <s@x.org>\nGesendet: Samstag, 21. November 2026 10:00\nAn: Ann\nBetreff: AW: Order",
    "De : Support <s@x.org>\nEnvoyé : samedi 21 novembre 2026 10:00\nÀ : Ann\nObjet : Order",
    "De: Support\nEnviado el: sábado, 21 de noviembre de 2026 10:00\nPara: Ann\nAsunto: Order",
    "От: Support <s@x.org>\nОтправлено: 21 ноября 2026 г. 10:00\nКому: Ann\nТема: Order",
    "Oddi wrth: Support <s@x.org>\nAnfonwyd: 21 Tachwedd 2026 10:00\nAt: Ann\nPwnc: Order",
    "Kimdən: Support <s@x.org>\nGöndərilib: 21 noyabr 2026 10:00\nKimə: Ann\nMövzu: Order",
    "Kimdan: Support <s@x.org>\nYuborilgan: 21-noyabr 2026 10:00\nKimga: Ann\nMavzu: Order",
    "Кимдан: Support <s@x.org>\nЮборилган: 21.11.2026 10:00\nКимга: Ann\nМавзу: Order",
    "Хэнээс: Support <s@x.org>\nИлгээсэн: 2026 оны 11-р сарын 21 10:00\nХэнд: Ann\nСэдэв: Order",
    "Kimden: Support <s@x.org>\nGönderildi: 21 Kasım 2026 Cumartesi 10:00\nKime: Ann\nKonu: Order",
    "Mittente: Support <s@x.org>\nInviato: sabato 21 novembre 2026 10:00\nA: Ann\nOggetto: Order",
    "发件人: Support <s@x.org>\n发送时间: 2026年11月21日 10:00\n收件人: Ann\n主题: Order",
    "Xyz: Support\nZyx: 21.11.2026 10:00\nYzx: Ann\nZxy: Re: Order",
]


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("rule", ["", "________________________________\n", "-----Original Message-----\n"])
def test_outlooks_header_block_ends_the_reply(block: str, rule: str) -> None:
    assert reply_text(f"See below.\n\n{rule}{block}\n\nOld words.", "Re: Order") == "See below."


@pytest.mark.parametrize(
    "rule",
    [
        "-----Original Message-----",
        "-----Ursprüngliche Nachricht-----",
        "-------- Исходное сообщение --------",
        "----- Neges Wreiddiol -----",
        "-----Orijinal Mesaj-----",
        "-----Asl xabar-----",
        "-----Эх зурвас-----",
        "-----Əsl mesaj-----",
        "----- Message d'origine -----",
        "-------- Mensaje original --------",
    ],
)
def test_a_line_that_announces_the_original_ends_the_reply(rule: str) -> None:
    assert reply_text(f"See below.\n\n{rule}\nold words") == "See below."


@pytest.mark.parametrize(
    "line",
    [
        "Sent from my iPhone",
        "Sent from my Samsung Galaxy smartphone.",
        "Sent from Yahoo Mail on Android",
        "Sent from Outlook for iOS<https://aka.ms/o0ukef>",
        "Get Outlook for Android<https://aka.ms/AAb9ysg>",
        "Gesendet mit der Telekom Mail App",
        "Von meinem iPhone gesendet",
        "Envoyé de mon iPhone",
        "Enviado desde mi iPhone",
        "Enviado do meu iPhone",
        "Inviato da iPhone",
        "Verzonden vanaf mijn iPhone",
        "Wysłane z iPhone'a",
        "Отправлено с iPhone",
        "Отправлено из мобильной Почты Mail.ru",
        "Anfonwyd o fy iPhone",
        "iPhone'umdan gönderildi",
        "iPhone-dan göndərilib",
        "iPhone'imdan yuborildi",
        "iPhone'имдан юборилди",
        "Миний iPhone-оос илгээв",
        "发自我的 iPhone",
        "iPhoneから送信",
        "나의 iPhone에서 보냄",
    ],
)
def test_a_phones_advertisement_goes(line: str) -> None:
    assert reply_text(f"Yes, please.\n\n{line}") == "Yes, please."
    assert (
        reply_text(f"Yes, please.\n\n{line}\n\nOn Sat, 21 Nov 2026 at 10:00, S <s@x.org> wrote:\n\n> old")
        == "Yes, please."
    )


@pytest.mark.parametrize("delimiter", ["-- ", "--"])
def test_a_signature_goes(delimiter: str) -> None:
    assert reply_text(f"Yes, please.\n\n{delimiter}\nAnn\nExample Ltd") == "Yes, please."
    assert reply_text(f"On Sat, 21 Nov 2026, S wrote:\n> old\n\nYes.\n\n{delimiter}\nAnn") == "Yes."


def test_answers_between_quotes_stay() -> None:
    text = "Hello,\n\nS <s@x.org> wrote:\n> What size?\nForty-two.\n> Which colour?\nBlue.\n\n-- \nAnn"
    assert reply_text(text) == "Hello,\n\nForty-two.\n\nBlue."


@pytest.mark.parametrize(
    "text",
    [
        "My phone:\n\nMy iPhone broke.",
        "My trip:\nFrom: London\nTo: Paris\nDate: 12 Dec 2026, 10:00\nThanks",
        "My data\n\nName: Ann\nEmail: a@x.org\nDate: 2026-11-21 10:00\nProblem: it is broken",
        "Costs:\n- one\n- two\n--- three ---\nfour",
        "I met Bob on 21.11.2026 at 10:00.\n\nHe said nothing.",
        "a > b\nb < c",
        "Please note:\n\nI am away.",
        "----\nfoo\n----\nbar",
        ">From the beginning it was broken.",
    ],
)
def test_words_that_only_look_like_history_stay(text: str) -> None:
    assert reply_text(text, "Re: Order") == text


def test_a_forward_keeps_what_it_is_about() -> None:
    gmail = "FYI\n\n---------- Forwarded message ---------\nFrom: B <b@x.org>\nDate: 2026\nSubject: x\n\ncontent"
    assert reply_text(gmail, "Fwd: x") == gmail
    outlook = f"FYI\n\n{BLOCKS[0]}\n\ncontent"
    assert reply_text(outlook, "FW: Order") == outlook


def test_a_mail_of_nothing_but_a_proven_quote_has_no_new_words() -> None:
    assert reply_text("On Sat, 21 Nov 2026 at 10:00, S <s@x.org> wrote:\n> old") == ""
    assert reply_text("\n\nSent from my iPhone") == ""


def test_in_doubt_the_whole_text_is_the_reply() -> None:
    assert reply_text("> all\n> marked") == "> all\n> marked"
    below = "On Sat, 21 Nov 2026 at 10:00, S <s@x.org> wrote:\n\nold words\n\nnew words"
    assert reply_text(below) == below


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gmail_reply", "It has not arrived – please look."),
        ("gmail_html_only_inline_answers", "Forty-two.\n\nBlue, please."),
        ("outlook_html_only", "Please send it again."),
        ("outlook_web_marker", "Thank you, got it."),
        ("yahoo_html_only", "Tomorrow is fine."),
    ],
)
def test_clients_marks_in_html(shown: Shown, name: str, words: str) -> None:
    mail = shown(name)
    assert mail["reply_text"] == words
    assert mail["text"] != words


@pytest.mark.parametrize(
    ("html", "words"),
    [
        (
            '<p>Yes</p><div class="moz-cite-prefix">Am 1.1.26 schrieb S:</div><blockquote type="cite">old</blockquote>',
            "Yes",
        ),
        (
            '<div>Yes</div><blockquote type="cite"><div>On 1 Jan 2026, at 10:00, S wrote:</div>old</blockquote>',
            "Yes",
        ),
        ('<div>Yes</div><div class="protonmail_quote">On Monday, S wrote:<blockquote>old</blockquote></div>', "Yes"),
        ('<div>Yes</div><div class="x_gmail_attr">any words:</div><blockquote>old</blockquote>', "Yes"),
        ('<div>Yes</div><div id="Signature"><p>Ann</p></div><div id="x_divRplyFwdMsg">Von: S</div><p>old</p>', "Yes"),
        ('<div>Yes</div><div class="gmail_signature">Ann</div>', "Yes"),
        ('<div>Yes</div><blockquote style="margin:0 0 0 40px;border:none">indented</blockquote>', "Yes\n\nindented"),
        ('<div class="zmail_extra">all of it</div>', ""),
    ],
)
def test_history_and_signatures_in_html(built: Callable[..., dict[str, Any]], html: str, words: str) -> None:
    assert built("From: a@x.example\nContent-Type: text/html", html)["reply_text"] == words


def test_where_the_text_shows_no_history_the_html_tells_it(built: Callable[..., dict[str, Any]]) -> None:
    head = 'From: a@x.example\nContent-Type: multipart/alternative; boundary="b"'
    body = (
        "--b\nContent-Type: text/plain\n\nYes\n\nAnn Smith\n"
        '--b\nContent-Type: text/html\n\n<p>Yes</p><div class="gmail_signature">Ann Smith</div>\n--b--\n'
    )
    mail = built(head, body)
    assert mail["text"] == "Yes\n\nAnn Smith"
    assert mail["reply_text"] == "Yes"
