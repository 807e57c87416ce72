"""Invented text, the same in every run: a shop's customers, who write in more than one language."""

from __future__ import annotations

import random

_ENGLISH = """the blue jacket order arrived with a broken zip and would like to know whether it can be exchanged for one
of the same size or if there is a refund thank you for your quick answer last week about delivery to our office please
send the invoice again because accounting could not open it we need twelve more chairs before Friday morning is that
possible my address has changed since then so kindly update it in your system and confirm by email when it is done"""
_MONGOLIAN = """сайн байна уу захиалга маань ирсэн боловч цахилгаан нь эвдэрсэн байсан тул солиулж болох эсэхийг мэдмээр
байна баярлалаа өнгөрсөн долоо хоногт хүргэлтийн талаар хурдан хариулсан танд нэхэмжлэхийг дахин илгээнэ үү манай
нягтлан нээж чадсангүй баасан гарагийн өглөө гэхэд арван хоёр сандал хэрэгтэй боломжтой юу хаяг өөрчлөгдсөн"""
_GERMAN = """die blaue Jacke ist angekommen aber der Reißverschluss ist beschädigt können wir sie umtauschen oder das
Geld zurückbekommen vielen Dank für Ihre schnelle Antwort letzte Woche bitte schicken Sie die Rechnung noch einmal für
unsere Buchhaltung wir benötigen zwölf weitere Stühle bis Freitag früh ist das möglich meine Anschrift ist neu"""
_LANGUAGES = [text.split() for text in (_ENGLISH, _MONGOLIAN, _GERMAN)]
_FIRST = "Ann Bat Bold Carla Dorj Emma Erdene Felix Gerel Hans Ivan Jana Khulan Lena Munkh Nara Oyuna Paul Saruul Tuya"
_LAST = "Ganbold Miller Otgon Schmidt Baatar Novak Dulam Weber Enkh Rossi Jargal Brown Tsend Fischer Purev Silva"
FIRST_NAMES = _FIRST.split()
LAST_NAMES = _LAST.split()


def sentence(chance: random.Random, words: int, language: int = 0) -> str:
    """One sentence."""
    text = " ".join(chance.choices(_LANGUAGES[language], k=words))
    return text[0].upper() + text[1:] + "."


def paragraphs(chance: random.Random, most: int, language: int = 0) -> list[str]:
    """One to `most` paragraphs of a few sentences."""
    return [
        " ".join(sentence(chance, chance.randint(5, 16), language) for _ in range(chance.randint(1, 4)))
        for _ in range(chance.randint(1, most))
    ]


def language(chance: random.Random) -> int:
    """Mostly English, a good part Mongolian, some German."""
    return chance.choices((0, 1, 2), (60, 25, 15))[0]


def name(chance: random.Random) -> str:
    """A person's name."""
    return f"{chance.choice(FIRST_NAMES)} {chance.choice(LAST_NAMES)}"
