"""What mail clients write around quotes, forwards and signatures, by language. Words only; the rules are in `quotes`.

A language that is missing here still works where the client names an address and a time, or repeats the subject.
"""

from __future__ import annotations

import re


def _any(words: str) -> str:
    """A pattern for any of the lines of `words`; a blank in it is any run of blanks."""
    lines = [line.strip() for line in words.strip().splitlines()]
    return "|".join(re.escape(line).replace(r"\ ", r"\s+") for line in sorted(lines, key=len, reverse=True))


WROTE = re.compile(
    r"(?:\b(?:wrote|writes|schrieb|schrieben|a\s+écrit|ecrit|écrivait|escribió|escribio|ha\s+scritto|scrive|escreveu|schreef|"
    r"napisała?|napisał\(a\)|pisze|napsala?|napsal\(a\)|napísala?|napísal\(a\)|skrev|kirjoitti|kirjutas|írta|"
    r"пишет|писала?|написала?|написал\(а\)|пише|писав|написав|написа|піша|ysgrifennodd|yazdı|yazmış|yazıb|yazdi|yozdi|"
    r"ёзди|ёзган|бичсэн|бичив|бичлээ|жазды|жазган|a\s+scris|έγραψε|rašė|rakstīja|skrifaði|napisao|napisala|шкрябав|"
    r"menulis|viết|đã\s+viết|scribit|skribis|idatzi|va\s+escriure|escribiu)\b|"
    r"写道|寫道|撰写|のメール|のメッセージ|書きました|작성|님이|כתב|كتب|نوشت|เขียน|ने\s+लिखा)",
    re.IGNORECASE,
)

OPENS = re.compile(
    r"\s*(?:On|Am|Le|El|Il|Em|Op|Dnia|W\s+dniu|Dne|Den|Den\s+|Ar|Pe|La|В|У|На|Στις|Tarih|Vào|在|Il\s+giorno|Em\s+\w+\.?,)\s",
    re.IGNORECASE,
)

FROM = re.compile(
    _any(
        """From
        Von
        De
        Da
        Van
        Od
        Fra
        Från
        Lähettäjä
        Saatja
        Feladó
        От
        От кого
        Від
        Ад
        Oddi wrth
        Oddiwrth
        Gan
        Kimden
        Gönderen
        Kimdən
        Göndərən
        Kimdan
        Yuboruvchi
        Кимдан
        Юборувчи
        Хэнээс
        Илгээгч
        Илгээсэн хүн
        Кімнен
        De la
        Expediteur
        Expéditeur
        Mittente
        Remitente
        Remetente
        Absender
        Από
        Nuo
        No
        Šalje
        Pošiljatelj
        Sendandi
        Pengirim
        Dari
        Người gửi
        发件人
        寄件者
        寄件人
        差出人
        送信者
        보낸 사람
        보낸사람
        מאת
        من
        از
        จาก"""
    ),
    re.IGNORECASE,
)

SENT = re.compile(
    _any(
        """Sent
        Date
        Gesendet
        Gesendet am
        Datum
        Envoyé
        Enviado
        Enviado el
        Enviada em
        Fecha
        Data
        Inviato
        Verzonden
        Wysłano
        Wysłane
        Odesláno
        Odoslané
        Dátum
        Skickat
        Sendt
        Dato
        Lähetetty
        Päivämäärä
        Saadetud
        Elküldve
        Küldve
        Отправлено
        Отправлен
        Дата
        Надіслано
        Отправено
        Anfonwyd
        Dyddiad
        Gönderildi
        Gönderme Tarihi
        Tarih
        Göndərilib
        Göndərilmə tarixi
        Göndərildi
        Tarix
        Yuborilgan
        Yuborildi
        Sana
        Юборилган
        Юборилди
        Сана
        Илгээсэн
        Огноо
        Жіберілді
        Күні
        Trimis
        Ημερομηνία
        Στάλθηκε
        Išsiųsta
        Nosūtīts
        Poslano
        Tanggal
        Dikirim
        Ngày
        发送时间
        发送日期
        日期
        寄件日期
        送信日時
        日時
        보낸 날짜
        날짜
        נשלח
        تاريخ
        วันที่"""
    ),
    re.IGNORECASE,
)

SUBJECT = re.compile(
    _any(
        """Subject
        Betreff
        Objet
        Asunto
        Oggetto
        Assunto
        Onderwerp
        Temat
        Předmět
        Predmet
        Ämne
        Emne
        Aihe
        Teema
        Tárgy
        Тема
        Предмет
        Pwnc
        Testun
        Konu
        Mövzu
        Mavzu
        Мавзу
        Сэдэв
        Гарчиг
        Тақырып
        Subiect
        Θέμα
        Tema
        Efni
        Subjek
        Perihal
        Chủ đề
        主题
        主旨
        件名
        제목
        נושא
        الموضوع
        موضوع
        เรื่อง"""
    ),
    re.IGNORECASE,
)

ORIGINAL = re.compile(
    _any(
        """Original Message
        Original message
        Original Mail
        Original Email
        Original Appointment
        Reply message
        Ursprüngliche Nachricht
        Ursprüngliche E-Mail
        Originalnachricht
        Original-Nachricht
        Message d'origine
        Message d’origine
        Message original
        Mensaje original
        Messaggio originale
        Mensagem original
        Oorspronkelijk bericht
        Wiadomość oryginalna
        Původní zpráva
        Pôvodná správa
        Ursprungligt meddelande
        Originalmeddelande
        Oprindelig meddelelse
        Opprinnelig melding
        Alkuperäinen viesti
        Eredeti üzenet
        Исходное сообщение
        Исходное письмо
        Оригинальное сообщение
        Original Message
        Вихідне повідомлення
        Оригінальне повідомлення
        Neges Wreiddiol
        Neges wreiddiol
        Özgün İleti
        Orijinal Mesaj
        Orijinal İleti
        Orijinal mesaj
        Əsl mesaj
        Orijinal məktub
        Asl xabar
        Asl xat
        Асл хабар
        Асл хат
        Эх зурвас
        Эх захидал
        Анхны захидал
        Mesaj original
        Αρχικό μήνυμα
        Izvorna poruka
        原始邮件
        原始郵件
        元のメッセージ
        원본 메시지
        원본 메일
        הודעה מקורית
        الرسالة الأصلية"""
    ),
    re.IGNORECASE,
)

FORWARDED = re.compile(
    _any(
        """Forwarded message
        Begin forwarded message
        Forwarded Message
        Weitergeleitete Nachricht
        Anfang der weitergeleiteten Nachricht
        Message transféré
        Début du message transféré
        Début du message réexpédié
        Mensaje reenviado
        Inicio del mensaje reenviado
        Forwarded mail
        Messaggio inoltrato
        Inizio messaggio inoltrato
        Mensagem encaminhada
        Mensagem reencaminhada
        Início da mensagem encaminhada
        Doorgestuurd bericht
        Begin doorgestuurd bericht
        Wiadomość przekazana dalej
        Przekazana wiadomość
        Přeposlaná zpráva
        Preposlaná správa
        Vidarebefordrat meddelande
        Videresendt meddelelse
        Videresendt melding
        Välitetty viesti
        Továbbított üzenet
        Пересылаемое сообщение
        Пересланное сообщение
        Пересылаемое письмо
        Начало переадресованного сообщения
        Переслане повідомлення
        Neges wedi'i hanfon ymlaen
        Neges a anfonwyd ymlaen
        Yönlendirilen ileti
        Yönlendirilmiş mesaj
        İletilmiş mesaj
        Yönləndirilmiş mesaj
        Yönləndirilən mesaj
        Yuborilgan xabar
        Uzatilgan xabar
        Юборилган хабар
        Дамжуулсан зурвас
        Дамжуулсан захидал
        Mesaj redirecționat
        Προωθημένο μήνυμα
        转发的邮件
        轉寄的郵件
        転送されたメッセージ
        전달된 메일"""
    ),
    re.IGNORECASE,
)

FORWARD_SUBJECT = re.compile(
    r"\s*(?:\[[^\]]*\]\s*)?(?:fwd?|wg|tr|rv|enc|vs|vb|vl|pd|fs|i|ilt|i̇lt|ynt\s*ilt|doorst|rozs|továbbítás|перес[лы]\w*|пд|yml|转发|轉寄|転送|전달)\s*[:：]",
    re.IGNORECASE,
)

_DEVICE = (
    r"(?:i[PpＰ](?:hone|ad|od)|android|samsung|galaxy|huawei|xiaomi|redmi|poco|oppo|vivo|realme|honor|nokia|sony|xperia|lg|htc|oneplus|"
    r"pixel|motorola|blackberry|windows\s+phone|windows|outlook|yahoo|gmail|proton\s?mail|mail\.ru|яндекс\S*|yandex\S*|mail|"
    r"mobile|mobil\w*|handy|smartphone|phone|telefon\w*|telefone|téléphone|teléfono|telèfon|tablet\w*|celular|cellulare|móvil|"
    r"myMail|aqua\s?mail|bluemail|k-9|fairemail|spark|thunderbird|ios|мобильн\w*|смартфон\w*|телефон\w*|утас\w*|ffôn\w*|дастгоҳ\w*)"
)
_SENT_WITH = (
    r"(?:sent\s+(?:from|via|with|using|by)|get\s+outlook\s+for|gesendet\s+(?:von|mit|über|aus)|von\s+mein\w*|"
    r"diese\s+nachricht\s+wurde\s+von\s+mein\w*|envoyé\w*\s+(?:de|depuis|à\s+partir|avec|par)|télécharg\w+\s+outlook|obtenez\s+outlook|"
    r"enviado\s+(?:desde|de|do|a\s+partir|com|con|via|por)|enviat\s+(?:des|de)|obtener\s+outlook|obter\s+(?:o\s+)?outlook|"
    r"inviato\s+(?:da|dal|con|tramite)|scarica\s+outlook|ottieni\s+outlook|verzonden\s+(?:vanaf|met|via|vanuit)|verstuurd\s+(?:vanaf|met)|"
    r"outlook\s+voor|wysłan[eoy]\s+(?:z|ze|za)|pobierz\s+outlook|odesláno\s+z\w*|odoslané\s+z\w*|skickat\s+från|hämta\s+outlook|"
    r"sendt\s+fra|hent\s+outlook|lähetetty|saadetud|hanki\s+outlook|elküldve|küldve|trimis\s+(?:de|din)|στάλθηκε|"
    r"отправлено\s+(?:с|со|из|через)|послано\s+(?:с|со)|надіслано\s+(?:з|із|за)|відправлено\s+(?:з|із)|изпратено\s+от|"
    r"скачайте\s+outlook|anfonwyd\s+(?:o|oddi|gan|drwy)|cael\s+outlook|outlook\s+for|outlook\s+für|outlook\s+pour|outlook\s+para|"
    r"download\s+outlook|laden\s+sie\s+outlook|dikirim\s+dari|được\s+gửi\s+từ|gửi\s+từ|发自|從我|寄自|iphoneから)"
)
_SENT_AFTER = (
    r"(?:gönderild[iı]|gönderilmiştir|göndərilib|göndərildi|göndərilmişdir|yuborildi|yuborilgan|jo['’ʻ]natildi|юборилди|юборилган|"
    r"илгээв|илгээсэн|илгээлээ|жіберілді|から送信|보냄|에서\s+보냄|ने\s+भेजा)"
)
MOBILE = re.compile(
    rf"\s*[-–—*_]*\s*(?:{_SENT_WITH}\b.{{0,20}}{_DEVICE}.{{0,60}}|.{{0,30}}{_DEVICE}.{{0,30}}{_SENT_AFTER}.{{0,10}}|"
    r"(?:发自|從我|寄自).{0,30}|.{0,20}(?:から送信|에서\s+보냄).{0,5})",
    re.IGNORECASE,
)
