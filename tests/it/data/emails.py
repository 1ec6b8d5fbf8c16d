"""Prints emails.tsv, the table of e-mails that tests/it/domain/email.rs reads.

The service accepts, normalizes and rejects e-mails as pydantic's EmailStr does. This script
validates every input below with EmailStr and records the verdicts. To run it with the versions
that produced the table:

    uv run emails.py > emails.tsv

or, with Python 3.13:

    python -m venv venv
    venv/bin/pip install pydantic==2.13.4 email-validator==2.3.0 idna==3.20
    venv/bin/python emails.py > emails.tsv

Each row has three cells, separated by tabs and written as JSON strings: the input, the kind of
verdict, and its text. The kinds are

    accepted      the text is the normal form
    refused       the text is the reason
    refused-idna  the reason quotes the IDNA library; the text is empty

All characters are unchanged since Unicode 13. Otherwise the verdicts would depend on the Unicode
version of either side.
"""

# /// script
# requires-python = "==3.13.*"
# dependencies = ["pydantic==2.13.4", "email-validator==2.3.0", "idna==3.20"]
# ///

import json
import string
import sys

from pydantic import EmailStr, TypeAdapter, ValidationError

IDNA_REASONS = (
    "The part after the @-sign contains invalid characters (",
    "The part after the @-sign is invalid (",
    "The part after the @-sign is not valid IDNA (",
    "The part after the @-sign became invalid after normalizing to international characters (",
)

# The inputs that the tests of the whole service use too.
ACCEPTANCE_CASES = [
    "plain.0123456789ab@example.com",
    "Mixed.0123456789ab@Example.COM",
    "plus.0123456789ab+tag.b@example.com",
    "sym.0123456789ab!#$%&'*+/=?^_`|~-@example.com",
    "_0123456789ab-@example.com",
    "  spaces.0123456789ab@example.com  ",
    "line.0123456789ab@example.com\n",
    "Name <name.0123456789ab@example.com>",
    "\"Quoted Name\" <quoted.0123456789ab@example.com>",
    "<angle.0123456789ab@example.com>",
    "x.0123456789ab@a.b",
    "x.0123456789ab@1.sub--x.example.co.uk",
    "x.0123456789ab@xn--mnchen-3ya.de",
    "u.0123456789ab@BÜCHER.de",
    "x.0123456789ab@ＥＸＡＭＰＬＥ.org",
    "x.0123456789ab@example。net",
    "é.0123456789ab@example.com",
    "用户.0123456789ab@例え.jp",
    "smile.0123456789ab😀@example.com",
    "nfc.e\u0301.0123456789ab@example.com",
    "x" * 53 + "0123456789ab@example.com",
    "l.0123456789ab@" + "b" * 63 + ".com",
    "0123456789ab@" + "b" * 60 + "." + "b" * 60 + "." + "b" * 60 + "." + "c" * 54 + ".com",
    "plain",
    "",
    " ",
    "@",
    "@example.com",
    "a@",
    "a@@example.com",
    "a@b@example.com",
    "a b@example.com",
    "a@exa mple.com",
    ".a@example.com",
    "a.@example.com",
    "a..b@example.com",
    "a@example.com.",
    "a@.example.com",
    "a@example..com",
    "a@-example.com",
    "a@example-.com",
    "a@ab--cd.com",
    "a@localhost",
    "a@local",
    "a@test",
    "a@com",
    "a@sub.local",
    "a@example.test",
    "a@example.invalid",
    "a@x.onion",
    "a@x.arpa",
    "a@sub.localhost",
    "a@X.LOCAL",
    "a@example.123",
    "a@example.c1",
    "a@127.0.0.1",
    "a@[127.0.0.1]",
    "a@[IPv6:::1]",
    "\"a\"@example.com",
    "\"a b\"@example.com",
    "a,b@example.com",
    "a;b@example.com",
    "a:b@example.com",
    "a(c)@example.com",
    "a[b]@example.com",
    "a\\b@example.com",
    "a<b@example.com",
    "a@exam_ple.com",
    "a@example.com (comment)",
    "mailto:a@example.com",
    "a@example.com>",
    "<a@example.com",
    "Name a@example.com",
    "a@example.com,b@example.com",
    "a%40example.com",
    "a@example.com/",
    "a@ex*mple.com",
    "a@" + "b" * 64 + ".com",
    "0123456789ab@" + "b" * 60 + "." + "b" * 60 + "." + "b" * 60 + "." + "c" * 55 + ".com",
    "a" * 300 + "@example.com",
    "a" * 2050 + "@example.com",
    "a\u0000b@example.com",
    "a\tb@example.com",
    "a\u200bb@example.com",
    "a@\u202eexample.com",
    "a@exa\u00admple.com",
    "a\u00a0b@example.com",
    "a@😀.com",
    "a@xn--zzzzzz.com",
    "a@xn--a.com",
    "a@٣.com",
    "a@\u0301a.com",
]

ORDINARY = """
plain@example.com
Mixed.Case@Example.COM
plus.sign+tag.b@example.com
sym!#$%&'*+/=?^_`|~-@example.com
sym{}@example.com
_under-@example.com
-@example.com
'@example.com
1@example.com
x@a.b
x@1.2.c
x@123.com
x@1.sub--x.example.co.uk
x@a-b.c-d.ef
x@a--.com
x@example.museum
ann@mail.example.travel
name.surname@sub.sub.sub.example.org
mailto:a@example.com
a%40example.com
a%b@example.com
a!b@example.com
a@example.com,b@example.com
a@example.com;b@example.com
a@example.com b@example.com
a@example.com/
a@example.com?subject=x
a@example.com#x
a@example.com:25
http://a@example.com/
a@http://example.com
a @example.com
a@ example.com
a@example .com
a@example.com (comment)
(comment)a@example.com
a(c)@example.com
a[b]@example.com
a\\b@example.com
a\\@b@example.com
a@b@example.com
a@@example.com
@a@example.com
@@
@
a
a@
@example.com
plain
example.com
.@.
-@-
null
0
""".strip("\n").split("\n")

ASCII_DOMAINS = """
localhost
local
test
com
b
1
1.1
127.0.0.1
example.123
example.c1
example.1c
example.c-1
example.c-c
sub.local
example.test
example.invalid
example.localhost
x.onion
x.arpa
1.0.0.127.in-addr.arpa
X.LOCAL
x.Test
xlocal.com
x.xlocal
local.com
test.example.com
onion.com
a.localdomain
a.locale
a.mytest
example.example
""".strip("\n").split("\n")

# Names for the rules of IDNA. Each comment names the rule.
INTERNATIONAL_DOMAINS = [
    "münchen.de", "BÜCHER.de", "mu\u0308nchen.de", "MU\u0308NCHEN.de", "例え.jp", "例え。jp",
    "例え．jp", "例え｡jp", "例え。ｊｐ", "ＥＸＡＭＰＬＥ.org", "example。net", "１２３.com",
    "пример.рф", "ПРИМЕР.РФ", "παράδειγμα.gr", "ΠΑΡΆΔΕΙΓΜΑ.gr", "उदाहरण.com", "מדגם.com",
    "مثال.com", "ตัวอย่าง.com", "예제.com", "例子.中国", "ĿL.com", "İstanbul.com", "ıstanbul.com",
    "STRASSE.de", "straße.de", "STRAẞE.de", "βόλος.com", "ΒΌΛΟΣ.com",  # deviations
    "Ⅷ.com", "ﬁsh.com", "½.com", "①.com", "㈱.com", "℡.com", "™.com", "K.com", "Å.com", "ſ.com",
    "a\u00b2.com", "a\u2460.com", "\u1e9b\u0323.com", "\u0958.com", "\U0001d15e.com",  # mapped
    "\u2100.com", "\u2474.com", "\u33c2.com", "\u33c7x.com", "\u2488.com", "\u2024.com",
    "a\u2025b.com", "a\u2026b.com", "\ufe19.com", "\ufe52com", "a\ufe52com", "\U0001f100.com",
    "\uff3f.com", "a\uff20b.com", "\uff0d.com", "a\uff0d.com", "a\uff0db.com", "\uff0ea.com",
    "\u1fef.com", "\u037e.com", "\u226e.com", "\u2260.com", "a\u2044b.com",  # periods, ASCII
    "😀.com", "☃.com", "♥.com", "a😀.com", "😀", "😀..com", "-😀.com", "√.com", "€.com", "©.com",
    "_é.com", "é_.com", "é!.com", "\u2010.com", "a\u2010b.com", "a\u2013b.com", "a\u2212b.com",
    "a\u00b7b.com", "l\u00b7l.com", "L\u00b7L.com", "l\u00b7.com", "\u00b7l.com",  # middle dot
    "\u0375α.com", "α\u0375.com", "\u0375a.com", "α\u0375β.com", "\u0374α.com",  # keraia
    "א\u05f3.com", "א\u05f4ב.com", "\u05f3א.com", "a\u05f3.com",  # geresh, gershayim
    "ア・イ.com", "・ア.com", "・.com", "a・b.com", "日・本.com", "い・ろ.com", "アー.com",
    "ا\u0660.com", "ا\u0660\u0661.com", "ا\u06f0.com", "ا\u0660\u06f0.com", "\u0660.com",
    "\u0663.com", "\u06f0.com", "a\u0660.com", "a\u06f0.com", "ا1.com", "ا1\u0660.com",
    "אa.com", "aא.com", "1א.com", "א1.com", "1.א", "a.א", "א.1", "אב-1.com", "א-ב.com",
    "a1.אב.com", "0a.אב.com", "א.a\u05b0.com", "א\u05b0.com", "ابجد.com", "ـ.com", "ا\u0640ب.com",
    "\u07fa.com", "\u302e.com", "a\u302e.com", "\u3031.com", "\u303b.com", "\u3007.com",
    "\u06fd.com", "ا\u06fd.com", "\u0f0b.com", "ཀ\u0f0b.com", "\u19da.com", "々.com",  # exceptions
    "क\u094d\u200dष.com", "क\u094d\u200cष.com", "a\u200db.com", "a\u200cb.com",  # joiners
    "ن\u200cن.com", "\u200da.com", "xn--11b4d3a.com", "xn--l1b6a9e1b7c.com", "xn--l1b6a9ete.com",
    "xn--ab-j1t.com", "xn--ab-m1t.com", "xn--llb6wk.com", "xn--ngba5hb2804a.com",
    "\u1100.com", "\u1161.com", "\u11a8.com", "한.com", "\u1112\u1161\u11ab.com", "\ua960.com",
    "\u115f.com", "a\u115fb.com", "a.\u115f", "\u115f", "\u3164.com", "\uffa0.com",  # jamo
    "\u0301a.com", "a\u0301.com", "a.\u0301b.com", "a\u0338.com", "a\u0338b.com", "a.b\u0301",
    "a\u0300\u0301.com", "a\u0323\u0307.com", "a\u0307\u0323.com", "\u20d0.com", "a\u20d0.com",
    "\u0903a.com", "a\u0903.com", "a\u20dd.com", "a\u034fb.com", "a\ufe0f.com", "a.\ufe0f",
    "\ua9ff.com", "\u13a0.com", "\uab70.com", "\u10a0.com", "\u1c90.com", "\u10d0.com",  # case
    "\U00010400.com", "\U00010428.com", "\U0001d504.com", "\U00020000.com", "\U0002f868.com",
    "\U0001d165.com", "\U0001d242.com", "\u20ac.com", "\u2f00.com", "\uf900.com", "\ufa0e.com",
    "exa\u00admple.com", "\u00ad.com", "a\u200bb.com", "a\u2060b.com", "a\ufeffb.com", "a\u180eb.com",
    "a\u200eb.com", "\u202eexample.com", "a\u2066b.com", "a\u00a0b.com", "a\u2003b.com",
    "a\u3000b.com", "a\u2028b.com", "a\u2029b.com", "a\ue000b.com", "a\u0378b.com", "a\uffffb.com",
    "a\U0010fffdb.com", "a\U000e0001b.com", "a\u0085b.com", "a\u0080b.com", "\ufffd.com",  # hidden
]

PUNYCODE_DOMAINS = """
xn--mnchen-3ya.de
XN--MNCHEN-3YA.DE
Xn--Mnchen-3ya.De
xn--strae-oqa.de
xn--fa-hia.de
xn--e1afmkfd.xn--p1ai
xn--fiqs8s.com
example.xn--fiqs8s
example.xn--p1ai
xn--zzzzzz.com
xn--a.com
xn--.com
xn---.com
xn--a-.com
xn--abc-.com
xn--abc.com
xn--0.com
xn--99999999.com
xn---bbk.com
xn--bbk.com
xn--ls8h.com
xn--n3h.com
xn--mgbh0fb.com
xn--4dbcagdahymbxekheh6e0a7fei0b.com
xn--1-zhc.com
xn--a-zhc.com
xn--mnchen-3yA.de
xn--Mnchen-3Ya.example
xn--mnchen-9bb.de
xn--BCHER-KVA.example
xn--bcher-kva8445foa.example
xn--kva.com
xn--tda.com
xn--8pa.com
xn--wgv71a119e.jp
xn--xn--a-x3a.com
xn--xn---epa.com
xn--a--b-uoa.com
xn--ab--cd-uwa.com
xn--ab--cd-9ra.com
xn----7fa.com
xn---7fa.com
xn--lsa.com
xn--0ca.com
xn--zca.com
xn--3xa.com
xn--ll-0ea.com
xn--l-fda.com
xn--wcv.com
xn--b6q.com
xn--8nd.com
xn--ngb6eya.com
xn--wgbh.com
xn--1ug.com
xn--0ug.com
sub.xn--1ug.com
xn--eckwd4c7c.xn--zckzah
xn--eckwd4c7c.test
münchen.xn--a
münchen.xn--p1ai
münchen.xn--zzzzzz
münchen.xn--ls8h
xn--é.com
xn--ünchen.de
ｘｎ--mnchen-3ya.de
xn－－mnchen-3ya.de
ab--cd.com
a1--b.com
1---a.com
XN-a.com
x--n.com
é---a.com
éa--a.com
aé--x.com
a--b.com
abc--d.com
b.ab--cd.com
b.ab--
x.--ab
""".strip("\n").split("\n")

INTERNATIONAL_LOCAL_PARTS = [
    "é", "e\u0301", "nfc.e\u0301.x", "É", "用户", "用户.名", "пользователь", "משתמש", "مستخدم",
    "उपयोगकर्ता", "smile😀", "👩‍👩‍👧", "👍🏽", "☃", "ﬁ", "ａ", "ß", "ẞ", "K", "\u212a", "\u212b", "\u2126",
    "\u1fef", "\u037e", "a\u037eb", "\u0387", "a\u0387", "\u226e", "<\u0338", "a<\u0338b", "=\u0338",
    ">\u0338", "\u0340", "a\u0340", "a\u0344", "\u0301", "\u0301a", "a.\u0301b", "\u0903", "\u20dd",
    "a\u20dd", "\u0958", "\U0001d15e", "\U0002f868", "\u1e9b\u0323", "q\u0307\u0323", "\u1112\u1161\u11ab",
    "a\u0080", "a\u0085b", "a\u009f", "a\u00a0b", "a\u00adb", "a\u034fb", "a\u061cb", "a\u115fb", "a\u1680b",
    "a\u180eb", "a\u2000b", "a\u2003b", "a\u200ab", "a\u200bb", "a\u200cb", "a\u200db", "a\u200eb", "a\u200fb",
    "a\u2028b", "a\u2029b", "a\u202ab", "a\u202eb", "a\u202fb", "a\u205fb", "a\u2060b", "a\u2064b", "a\u2066b",
    "a\u2069b", "a\u3000b", "a\u3164b", "a\ud7ffb", "a\ue000b", "a\uf8ffb", "a\ufe0fb", "a\ufeffb", "a\ufff9b",
    "a\ufffcb", "a\ufffdb", "a\ufffeb", "a\uffffb", "a\U000e0001b", "a\U000e0041b", "a\U000f0000b",
    "a\U0010ffffb", "a\u0378b", "\u200b\u202e\u00ad", "\u202e\u00a0\u200b\u0000", "é é", "é..é", ".é", "é.",
    "é(é)", "é\u200b é", "a\u3002b", "a\uff0eb", "\uff20", "a\u0600b", "a\u06ddb", "\u0600",
]

NAMED_FORMS = [
    "Name <n@example.com>", "<n@example.com>", "  Name   <n@example.com>  ", "Two Names <n@example.com>",
    "Name<n@example.com>", "Name\t<n@example.com>", "Name\n<n@example.com>", "Name <n@example.com>\n",
    "\nName <n@example.com>", "Name < n@example.com >", "Name <\tn@example.com\n>", "Näme Ñ <n@example.com>",
    "名前 <n@example.com>", "N4me <n@example.com>", "O'Neil <n@example.com>", "a_b-c!d <n@example.com>",
    "J. Doe <n@example.com>", "J.Doe <n@example.com>", "Doe, J <n@example.com>", "Doe; J <n@example.com>",
    "a@b <n@example.com>", "a@b.com <n@example.com>", "Name (x) <n@example.com>", "Name: <n@example.com>",
    "😀 <n@example.com>", "Na\u0301me <n@example.com>", "\u0301 <n@example.com>", "Na\u200bme <n@example.com>",
    "Na\u00a0me <n@example.com>", "Na\u0000me <n@example.com>", "½ <n@example.com>", "\u2460 <n@example.com>",
    "\u24b6 <n@example.com>", "\u0903 <n@example.com>", "\u0345 <n@example.com>", "\x1c<n@example.com>\x1f",
    '"Quoted Name" <n@example.com>', '"Quoted"<n@example.com>', '"Doe, J." <n@example.com>', '"" <n@example.com>',
    '" " <n@example.com>', '"a\\"b" <n@example.com>', '"a"b" <n@example.com>', '"a" b <n@example.com>',
    '"a" "b" <n@example.com>', 'a "b" <n@example.com>', '"a\nb" <n@example.com>', '"<x@y.com>" <n@example.com>',
    '"a" <x@y.com> "b" <n@example.com>', '"a"<x"<n@example.com>', '"a"<x"<>', '"a"<n@exa\nmple.com>', '"a <n@example.com>',
    'a" <n@example.com>', '"a\\" <n@example.com>', '"a\\\\" <n@example.com>', '"a\u200b" <n@example.com>', '"a" <>',
    '"n@example.com"', '"n"@example.com>', '"a" n@example.com', '"a" <n@example.com', '"a" <n@example.com> x',
    "<>", "< >", "Name <>", "Name < >", "<n@example.com", "n@example.com>", "<<n@example.com>>", "<n@example.com>>",
    "<<n@example.com>", "Name <<n@example.com>>", "<n@example.com><", "<n@example.com> x", "<n@example.com>x",
    "Name <n@example.com> x", "Name <n@example.com>, Other <o@example.com>", "<n@example.com> <o@example.com>",
    "Name n@example.com", "Name <n@example.com", "Name <n>", "Name <@example.com>", "Name <n@>", "Name <n@localhost>",
    "Name <n n@example.com>", "Name <n@exa mple.com>", "Name <\"n\"@example.com>", "Name <n@[127.0.0.1]>",
    "Name <n@EXAMPLE.com>", "Name <é@münchen.de>", "Name <Info@example.com>", "Name <n@example.com\n>", "Name <n\n@example.com>",
    "J. <n@example.com", "J. <n@example.com> x", "J. <n>", "(J) <n@example.com> ", ", <n@example.com>", ".<n@example.com>",
    "a<b@example.com", "a<b>@example.com", "a@<example.com>", "a@b<c>", "a@b<c@d.com>", "<a@b>@example.com", "a>b@example.com",
    "<\u0338n@example.com>", "n@\u0338example.com", "n@\u0338@example.com", '"\u0338n@example.com', "Name <\u0338n@example.com>",
    "Name <n@example.com>\u0338", "n\uff20example.com", "n\ufe6bexample.com", "\uff20", "n\uff20a@example.com", "Name <n\uff20example.com>",
    "J. <n@example.com>\t", "\u037e <n@example.com\u3000>", "<n@example.com>\u00a0", "<\u00a0n@example.com>", "; <n@a.com> \n",
]

QUOTED_LOCAL_PARTS = [
    '"a"', '"a b"', '"a.b"', '".a"', '"a."', '"a..b"', '""', '" "', '"a@b"', '"a@b"c', 'a"b"', '"a"b', '"a""b"',
    '"a\\"b"', '"a\\\\b"', '"a\\b"', '"a\\', '"a', 'a"', '"', '"""', '"\\""', '"a<b>"', '"a,b;c"', '"é"', '"e\u0301 x"',
    '"\u0301a"', '"a\u00a0b"', '"a\u200bb"', '"a\tb"', '"a\nb"', '"a\x7fb"', '"a\x00b\x1f"', '"a\u2028b"', '"a\u0085b"',
    '"\u037e"', '"\\e\u0301"', '"\\e\u0301"@b"', '"\\\u0340"', '"a"\u0338', '"a\u0338"', '"a\\"', '"Info"', '"a" "b"', '"a"\'b\'\\(c)',
    '"a"\u200b', "'a'", "a'b", "`a`", '\\"a\\"', 'a\\"b', '"' + 'a' * 260 + '"', '"' + 'é ' * 120 + '"',
]

ADDRESS_LITERALS = """
127.0.0.1
0.0.0.0
255.255.255.255
256.1.1.1
1.1.1.1000
1.1.1
1.1.1.1.1
1..1.1
1.1.1.
.1.1.1
01.1.1.1
00.0.0.0
1.1.1.a
1.1.1.1/8
1
.
...

IPv6:::1
IPv6:::
IPv6:1::
IPv6:fe80::1
IPv6:1:2:3:4:5:6:7:8
IPv6:1:2:3:4:5:6:7
IPv6:1:2:3:4:5:6:7:8:9
IPv6:1:2:3:4:5:6:7:8:9:a
IPv6:1:2:3:4:5:6:7::
IPv6:::2:3:4:5:6:7:8
IPv6:1::3:4:5:6:7:8
IPv6:1:2:3:4::5:6:7:8
IPv6:1::2::3
IPv6::::
IPv6::1
IPv6::1:2:3:4:5:6:7
IPv6:1:2:3:4:5:6:7:
IPv6::1:2::3
IPv6:1::2:
IPv6:12345::
IPv6:g::
IPv6:g'h::
IPv6:g\\h::
IPv6:::ffff:1.2.3.4
IPv6:::1.2.3
IPv6:::1.2.3.04
IPv6:::1.2.3.999
IPv6:1.2.3.4
IPv6:1:2:3:4:5:6:7:1.2.3.4
IPv6:1:2:3:4:5:6:1.2.3.4
IPv6:fe80::1%eth0
IPv6:fe80::1%
IPv6:fe80::1%a%b
IPv6:fe80::/64
IPv6:fe80:: 
IPv6:é::
IPv6:
IPv6
ipv6:::1
IPV6:::1
tag:x
tag:x y
tag:é
tag:ǿ
tag: \u200b
:
example.com
é
a]b
[1.1.1.1
""".strip("\n").split("\n")


def spaced():
    """Yields white space and control characters around, inside, and next to the @-sign."""
    for space in " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u202f\u205f\u3000\u200b\ufeff\x00\x7f":
        yield f"{space}a@example.com{space}"
        yield f"a{space}@example.com"
        yield f"a@exam{space}ple.com"
        yield f"a@{space}example.com"
    yield ""
    yield " "
    yield "\n\t "


def punctuated():
    """Yields each ASCII punctuation character at each position."""
    for character in string.punctuation:
        yield f"{character}a@example.com"
        yield f"a{character}b@example.com"
        yield f"a{character}@example.com"
        yield f"a@{character}b.com"
        yield f"a@b{character}c.com"
        yield f"a@b.c{character}"
        yield f"{character}@example.com"
    yield f"{string.punctuation}@example.com"
    yield f"a@{string.punctuation.replace('@', '')}"
    yield "a\x01\x1fé\\\"'() \u200b@example.com"
    yield "a@\\\"'() \x01\u200b\u0301.com"


def separated():
    """Yields periods and hyphens in all combinations of length two and three."""
    for first in ".-a":
        for second in ".-a":
            yield f"{first}{second}@example.com"
            yield f"x{first}{second}y@example.com"
            for third in ".-a":
                yield f"a@{first}{second}{third}.com"
                yield f"a@x{first}{second}{third}y.com"
                yield f"a@x.{first}{second}{third}"


def sized():
    """Yields lengths around each limit, in narrow and in wide characters."""
    for length in (63, 64, 65, 241, 242, 243, 244, 300, 2035, 2036, 2037):
        yield f"{'a' * length}@example.com"
    for length in (120, 121, 122, 130, 1018):
        yield f"{'é' * length}@example.com"
    for length in (59, 60, 61, 62, 63, 64, 65, 70):
        yield f"a@{'b' * length}.com"
        yield f"a@x.{'b' * length}"
        yield f"a@{'b' * (length - 1)}é.com"
        yield f"a@é.{'b' * length}.com"
        yield f"a@xn--{'a' * (length - 4)}.com"
    for count in (14, 15, 16, 40, 50, 56, 57, 58, 59, 60):
        yield f"a@{'ü' * count}.de"
        yield f"a@{'中' * count}.de"
    labels = ".".join(["b" * 60] * 3)
    for length in range(57, 68):
        yield f"a@{labels}.{'c' * (length - 1)}.com"
        yield f"a@{labels}.{'C' * (length - 1)}.com"
        yield f"a@{labels}.{'c' * (length - 5)}.com"
    for length in range(1, 7):
        yield f"{'é' * length}@{labels}.{'c' * 59}.com"
        yield f"{'é' * length}@{labels}.{'c' * 57}.ü"
    for count in (3, 4, 5):
        yield f"a@{'.'.join(['ü' * 40] * count)}.com"
        yield f"a@{'.'.join(['中' * 15] * count)}.com"
        yield f"{'x' * 60}@{'.'.join(['ü' * 40] * count)}.com"
    # Forms that grow or shrink during normalization.
    for count in (100, 119, 120, 121, 122):
        yield f"{'e' + chr(0x301)}{'x' * (2 * count)}@example.com"
        yield f"{chr(0x958) * (count // 3)}{'x' * 130}@example.com"
    yield f"{'x' * 200}@{'ü' * 20}.{'é' * 10}.com"
    yield f"{'x' * 200}@{'xn--tda.' * 8}com"
    yield f"{'x' * 218}@{'ß' * 8}.{'中' * 5}.com"
    yield f"{'x' * 226}@\u3002example\u3002com".replace("@\u3002", "@")
    yield "a@" + "b." * 125 + "com"
    yield "a@" + "b." * 126 + "com"
    yield "a@" + "b." * 127 + "com"
    yield "a@" + "b." * 400 + "com"
    yield "😀" * 62 + "@example.com"
    yield "😀" * 60 + "aa@example.com"
    yield "😀" * 60 + "aaa@example.com"
    yield "😀" * 2036 + "@example.com"
    yield "😀" * 2037 + "@example.com"
    yield " " * 2036 + "a@example.com"
    yield " " * 2035 + "a@example.com"
    yield "a" * 2049


def role_mailboxes():
    """Yields the mailbox names of RFC 2142 and near misses."""
    for name in ("Info", "POSTMASTER", "webMaster", "Abuse", "NOC", "www", "FTP", "Security"):
        yield f"{name}@Example.com"
    for name in ("Infos", "In.fo", "Info+x", "Admin", "Root", "\u212a", "news\u0301", "\uff29nfo", "Sales"):
        yield f"{name}@example.com"


def inputs():
    """Yields all inputs, with duplicates."""
    yield from ACCEPTANCE_CASES
    yield from ORDINARY
    yield from spaced()
    yield from punctuated()
    yield from separated()
    yield from sized()
    yield from role_mailboxes()
    yield from NAMED_FORMS
    yield from (f"a@{domain}" for domain in ASCII_DOMAINS)
    yield from (f"a@{domain}" for domain in INTERNATIONAL_DOMAINS)
    yield from (f"a@{domain}" for domain in PUNYCODE_DOMAINS)
    yield from (f"{local}@example.com" for local in INTERNATIONAL_LOCAL_PARTS)
    yield from (f"{local}@example.com" for local in QUOTED_LOCAL_PARTS)
    yield from (f"a@[{literal}]" for literal in ADDRESS_LITERALS)
    yield from ("a@[", "a@]", "a@[]x", "a@x[1.1.1.1]", "a@[1.1.1.1", "a@1.1.1.1]", "a@[1.1.1.1].com")
    yield from ("a@[1.1.1.1\n]", "a@[1.1.1\n]", "a@[IPv6:\n::]", "a@[IPv6:\u200b'\"::]", "a@[IPv6:\x01\U000e0001::]")
    yield from ("é@例え.jp", "用户@例え。ＪＰ", "\"é\"@例え.jp", "é@localhost", "\u0301@\u0301", "a b@c d", ".@", "a@.")


def validate(adapter, address):
    """Returns the kind and the text of EmailStr's verdict."""
    try:
        return "accepted", adapter.validate_python(address)
    except ValidationError as error:
        reason = error.errors()[0]["ctx"]["reason"]
    if reason.startswith(IDNA_REASONS):
        return "refused-idna", ""
    return "refused", reason


def main():
    sys.stdout.reconfigure(encoding="ascii", newline="\n")
    adapter = TypeAdapter(EmailStr)
    for address in dict.fromkeys(inputs()):
        cells = (address, *validate(adapter, address))
        print("\t".join(json.dumps(cell) for cell in cells))


if __name__ == "__main__":
    main()
