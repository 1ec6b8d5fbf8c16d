"""Writes `dotenv.json`, the table of how python-dotenv reads small `.env` files.

Run it with Python 3.11 or newer, in an environment with exactly this release:

    pip install python-dotenv==1.2.4
    python -P tests/it/data/dotenv.py

Without `-P` Python would import this file instead of the package of the same name.

Each case is written to a real file and read as pydantic-settings does, with
`dotenv_values(path, encoding="utf-8")`: it interpolates, and values of the file take precedence
over the environment. The environment of a case is the whole environment during the call.

`unreadable_lines` are the first lines of the statements that python-dotenv skips. If blank lines
precede such a statement, the warning of python-dotenv names an earlier line.
"""

import importlib.metadata
import json
import logging
import os
import pathlib
import tempfile
from unittest import mock

from dotenv import dotenv_values
from dotenv.parser import parse_stream

VERSION = "1.2.4"

# name: text, or (text, environment)
CASES = {
    # Empty files.
    "empty file": "",
    "only a line end": "\n",
    "only blanks": "  \t ",
    "only blank lines": "\n \n\t\n\n",
    "only a comment": "# nothing",
    "comment with an assignment": "#A=1\nB=2\n",
    "indented comment": "   # A=1\nB=2\n",
    "comment with an open quote": "# don't \"\nA=1\n",
    "comments between": "A=1\n# one\n\n# two\nB=2\n",
    # Plain assignments.
    "one assignment": "A=1\n",
    "no last line end": "A=1",
    "two assignments": "A=1\nB=2\n",
    "blank lines between": "\n\nA=1\n\n\nB=2\n\n",
    "blanks around everything": "  A  =  1  \n",
    "tabs around everything": "\tA\t=\t1\t\n",
    "second equals sign": "A=b=c\n",
    "only equals signs in the value": "A===\n",
    "url": "DATABASE_URL=postgresql://user:p%40ss@host:5432/base?sslmode=require#x\n",
    "json": 'ORIGINS=["http://a.example", "http://b.example"]\n',
    "blanks inside a value": "A=one  two\tthree\n",
    "quotes inside a value": "A=it's \"so\"\n",
    "quote at the end of a value": "A=5\"\n",
    "backslashes outside quotes": "A=C:\\new\\table\\\n",
    "backslash before the line end": "A=one\\\ntwo\n",
    "letters beyond ASCII": "NAÏVE=größe ☃ 𝄞\n",
    "combining and joined letters": "A=e\u0301 👩\u200d💻\n",
    "zero byte": "A=a\x00b\n",
    "zero byte in a name": "A\x00B=1\n",
    "names of many kinds": "a=1\nA.B-C=2\n1X=3\n$Y=4\n{Z}=5\n",
    "names that differ in case": "a=1\nA=2\nAa=3\naA=4\n",
    "colon instead of equals sign": "A: 1\n",
    "colon in a name": "A:B=1\n",
    # Names.
    "name in single quotes": "'A'=1\n",
    "name in single quotes with blanks": "'A B' = 1\n",
    "name in single quotes with all marks": "'A=#\"B'=1\n",
    "name in single quotes over two lines": "'A\nB'=1\nC=2\n",
    "name in single quotes with a backslash": "'A\\n'=1\n",
    "name in single quotes without value": "'A B'\n",
    "name in single quotes not closed": "'A=1\nB=2\n",
    "name in single quotes closed two lines later": "'A=1\nB=2\nC='x'\nD=4\n",
    "name in empty single quotes": "''=1\nB=2\n",
    "name in double quotes": "\"A\"=1\n",
    "name in double quotes with a blank": "\"A B\"=1\nC=3\n",
    "name ending in a quote": "A'=1\n",
    "name with a quote inside": "A'B'=1\n",
    "text after a quoted name": "'A'B=1\nC=2\n",
    "name ended by a number sign": "A#B=1\n",
    "missing name": "=1\nB=2\n",
    "missing name and value": "=\nB=2\n",
    "blank name": "  = 1\nB=2\n",
    # Names without a value.
    "name without equals sign": "A\n",
    "name without equals sign at the end": "B=1\nA",
    "name without equals sign, with blanks": "  A  \nB=1\n",
    "name without equals sign, with comment": "A # why\nB=1\n",
    "name without equals sign, comment at once": "A#why\nB=1\n",
    "two words": "A B\nC=1\n",
    "two words before the equals sign": "A B=1\nC=2\n",
    "equals sign on the next line": "A\n=1\nB=2\n",
    # Empty values.
    "empty value": "A=\nB=2\n",
    "empty value at the end": "A=",
    "blank value": "A=   \nB=2\n",
    "blank value at the end": "A= \t",
    "empty double quotes": "A=\"\"\n",
    "empty single quotes": "A=''\n",
    "blank in double quotes": "A=\" \"\n",
    "value on the next line": "A=\n1\nB=2\n",
    "empty backquotes": "A=``\n",
    # Comments after values.
    "comment after a value": "A=1 # one\n",
    "comment after a tab": "A=1\t# one\n",
    "comment after many blanks": "A=1   \t  # one\n",
    "number sign inside a value": "A=a#b\n",
    "number sign inside, comment after": "A=a#b #c\n",
    "number sign at the end": "A=a#\n",
    "two number signs at once": "A=a ## b\n",
    "two comments": "A=a #b #c\n",
    "value that begins with a number sign": "A=#b\n",
    "value that begins with a number sign, comment": "A=#b # c\n",
    "value that is a number sign": "A=#\n",
    "comment instead of a value": "A= # b\n",
    "comment instead of a value without blank": "A= #b\nB=2\n",
    "comment instead of a value at the end": "A=\t#",
    "comment with a quote instead of a value": "A= # 'b\nB=2\n",
    "comment after double quotes": "A=\"1\" # one\n",
    "comment directly after double quotes": "A=\"1\"# one\n",
    "comment after single quotes": "A='1' # one\n",
    "comment directly after single quotes": "A='1'#one\n",
    "comment mark in double quotes": "A=\"1 # one\"\n",
    "comment mark in single quotes": "A='1 # one'\n",
    "comment mark after an inner quote": "A=x\"1 # one\"\n",
    "comment with an assignment inside": "A=1 # B=2\nC=3\n",
    # Double quotes.
    "double quotes": "A=\"one two\"\n",
    "double quotes keep blanks": "A=\"  one  \"\n",
    "double quotes after blanks": "A =  \"one\"  \n",
    "double quotes with single quotes inside": "A=\"it's\"\n",
    "double quotes with every escape": "A=\"\\\\|\\'|\\\"|\\a|\\b|\\f|\\n|\\r|\\t|\\v\"\n",
    "double quotes with other escapes": "A=\"\\x41\\u0041\\0\\e\\$\\ \\N\\`\"\n",
    "double quotes with escaped letters beyond ASCII": "A=\"\\ü\\☃\"\n",
    "double quotes with escaped backslash before letter": "A=\"\\\\n\\\\\\n\"\n",
    "double quotes ending in an escaped backslash": "A=\"C:\\\\dir\\\\\"\nB=2\n",
    "double quotes ending in a backslash": "A=\"C:\\dir\\\"\nB=2\n",
    "double quotes ending in a backslash, closed later": "A=\"C:\\dir\\\"\nB=\"2\"\nC=3\n",
    "double quotes not closed": "A=\"one\nB=2\n",
    "double quotes not closed at the end": "A=\"one",
    "double quotes not closed after a backslash": "A=\"one\\",
    "only one double quote": "A=\"\n",
    "double quotes closed by the next value": "A=\"one\nB=\"two\"\nC=3\n",
    "text after double quotes": "A=\"one\"two\nB=2\n",
    "text after double quotes and a blank": "A=\"one\" two\nB=2\n",
    "double quotes twice": "A=\"one\"\"two\"\nB=2\n",
    # Single quotes.
    "single quotes": "A='one two'\n",
    "single quotes keep blanks": "A='  one  '\n",
    "single quotes with double quotes inside": "A='say \"so\"'\n",
    "single quotes with both escapes": "A='\\\\|\\''\n",
    "single quotes with escapes of double quotes": "A='\\n\\t\\\"\\a\\x41'\n",
    "single quotes ending in an escaped backslash": "A='C:\\dir\\\\'\nB=2\n",
    "single quotes ending in a backslash": "A='C:\\dir\\'\nB=2\n",
    "single quotes with three backslashes": "A='\\\\\\''\n",
    "single quotes not closed": "A='one\nB=2\n",
    "single quotes closed by the next value": "A='one\nB='two'\nC=3\n",
    "text after single quotes": "A='one'two\nB=2\n",
    "apostrophe escaped as in a shell": "A='it'\\''s'\nB=2\n",
    "triple quotes": "A='''one'''\nB=\"\"\"two\"\"\"\nC=3\n",
    "backquotes": "A=`one # two`\n",
    "typographic quotes": "A=“one # two”\n",
    # Values over more than one line.
    "double quotes over two lines": "A=\"one\ntwo\"\nB=2\n",
    "single quotes over two lines": "A='one\ntwo'\nB=2\n",
    "private key": "KEY=\"-----BEGIN KEY-----\nab+/cd==\n# no comment\n-----END KEY-----\n\"\nB=2\n",
    "blank lines inside quotes": "A=\"\n\n  \n\"\nB=2\n",
    "escaped line end in double quotes": "A=\"one\\\ntwo\"\n",
    "escaped line end in single quotes": "A='one\\\ntwo'\n",
    "assignment inside quotes": "A=\"\nB=1\n\"\nC=2\n",
    "text after quotes over two lines": "A=\"one\ntwo\" three\nB=2\n=3\n",
    "backquotes over two lines": "A=`one\ntwo`\nB=2\n",
    # Line ends.
    "carriage return and line feed": "A=1\r\nB=2\r\n",
    "carriage return alone": "A=1\rB=2\r",
    "mixed line ends": "A=1\r\nB=2\nC=3\rD=4\n\rE=5",
    "carriage return inside double quotes": "A=\"one\r\ntwo\rthree\"\r\nB=2\r\n",
    "carriage return inside single quotes": "A='one\r\ntwo\rthree'\r\nB=2\r\n",
    "carriage return inside a quoted name": "'A\r\nB'=1\r\n",
    "escaped carriage return in double quotes": "A=\"one\\\r\ntwo\"\r\n",
    "empty value before a carriage return": "A=\r\nB= \r\nC\r\nD=\"\"\r\n",
    "comment before a carriage return": "A=1 # x\r\n# y\r\nB= # z\r\nC=3",
    "unreadable lines with carriage returns": "A=1\r\n=\r\n\r\n=\rB=2\r\n",
    "vertical tab and form feed": "A=1\x0bB=2\n\x0cC=\x0b3\x0c\n",
    "vertical tab before a comment": "A=1\x0b# x\nB=\x0c#y\n",
    "separators that are blanks to Python": "\x1cA\x1d=\x1e1\x1f\n",
    "separators before a comment": "A=1\x1f#x\n",
    "separators split a name": "A\x1cB=1\nC=2\n",
    "next line and line separator": "A=1\x85B=2\u2028C=3\u2029\n",
    "blanks beyond ASCII": "\u00a0A\u2003=\u30001\u00a0\n",
    "blank beyond ASCII before a comment": "A=1\u00a0# x\n",
    "zero width blanks stay": "A=\u200b1\u200b\n\u2060B=2\n",
    "mongolian separator stays": "A=\u180e1\u180e\n",
    # Byte-order mark.
    "byte-order mark": "\ufeffA=1\n",
    "byte-order mark alone": "\ufeff",
    "byte-order mark twice": "\ufeff\ufeffA=1\n",
    "byte-order mark before a blank line": "\ufeff\nA=1\n=\n",
    "byte-order mark before carriage return": "\ufeff\r\nA=1\r\n",
    "byte-order mark before a comment": "\ufeff# x\nA=1\n",
    "byte-order mark before export": "\ufeffexport A=1\n",
    "byte-order mark after a blank line": "\n\ufeffA=1\n",
    "byte-order mark in a value": "A=\ufeff1\n",
    # Export.
    "export": "export A=1\n",
    "export with tabs and blanks": "  export \t A = 1\n",
    "export with a blank beyond ASCII": "export\u00a0A=1\n",
    "export before a quoted name": "export 'A B'=1\n",
    "export before a name without value": "export A\nB=1\n",
    "export as a name": "export=1\n",
    "export as a name with a blank": "export =1\nB=2\n",
    "export as a name without value": "export\nA=1\n",
    "export with a blank and nothing": "export \nA=1\n",
    "export with a blank at the end": "A=1\nexport ",
    "export before a comment": "export # x\nA=1\n",
    "export twice": "export export A=1\nB=2\n",
    "export twice without name": "export export=1\n",
    "export before two names": "export A=1 B=2\n",
    "export before two names without value": "export A B\nC=1\n",
    "export in capitals": "EXPORT A=1\nB=2\n",
    "export as the beginning of a name": "exported=1\n",
    "export on the line before": "export\n  A=1\n",
    "set instead of export": "set A=1\nB=2\n",
    # Dollar signs without a reference.
    "dollar sign in a value": "E=pass$word#1\n",
    "dollar sign in each kind of quotes": "A=$B\nC='$B'\nD=\"$B\"\nB=1\n",
    "dollar sign before a name in the environment": ("A=$B-$(B)-$$\n", {"B": "env"}),
    "dollar sign at the end": "A=x$\n",
    "opening at the end": "A=x${\n",
    "opening with name at the end": "A=x${B\nB=1\n",
    "opening with default at the end": "A=x${B:-y\nB=1\n",
    "brace without dollar sign": "A={B} $ {B}\nB=1\n",
    "blank between dollar sign and brace": ("A=$ {B}\n", {"B": "env"}),
    # References.
    "reference to the file": "B=1\nA=${B}\n",
    "reference to the environment": ("A=${B}\n", {"B": "env"}),
    "file goes before environment": ("B=file\nA=${B}\n", {"B": "env"}),
    "environment goes before a later line": ("A=${B}\nB=file\nC=${B}\n", {"B": "env"}),
    "reference to nothing": "A=x${B}y\n",
    "reference to a later line": "A=${B}\nB=1\n",
    "reference to itself": ("A=${A}:x\n", {"A": "env"}),
    "reference to itself, unset": "A=${A}:x\n",
    "reference to itself, twice": ("A=${A}:x\nA=${A}:y\n", {"A": "env"}),
    "reference to a duplicate between": "B=1\nA=${B}\nB=2\nC=${B}\n",
    "references in each kind of quotes": ("A='${B}'\nC=\"${B}\"\nD=${B}\n", {"B": "env"}),
    "references side by side": ("A=${B}${C}${B}\n", {"B": "1", "C": "2"}),
    "references with text around": ("A=x${B}y${C}z\n", {"B": "1", "C": "2"}),
    "reference is put in once": ("A='${B}'\nC=${A}\n", {"B": "${D}", "D": "no"}),
    "reference made of references": ("A=$\nB={D}\nC=${A}${B}\n", {"D": "no"}),
    "reference puts in comment mark and quotes": ("A=${B}\n", {"B": " 'x' # \"y\" "}),
    "reference puts in a line end": ("A=${B}\nC=3\n", {"B": "1\nD=2"}),
    "reference is case sensitive": ("A=${b}${B}\n", {"b": "low", "B": "up"}),
    "reference in a name": ("${B}=1\nC=2\n", {"B": "X"}),
    "reference after an escape": ("A=\"\\${B}\"\nC='\\${B}'\nD=\\${B}\n", {"B": "env"}),
    "reference after two backslashes": ("A=\"\\\\${B}\"\n", {"B": "env"}),
    "reference after a dollar sign": ("A=$${B}\nC=$$${B}\n", {"B": "env"}),
    "reference made by an escape": ("A=\"$\\{B}\"\nC=\"${B\\n}\"\n", {"B": "env", "B\n": "line"}),
    "reference with blanks in it": ("A=${ B }\nC=${B C}\n", {"B": "env", " B ": "x", "B C": "y"}),
    "reference over two lines": ("A=\"${B\nC}\"\n", {"B\nC": "env"}),
    "reference over two lines without quotes": ("A=${B\nC}\nD=1\n", {"B": "env"}),
    "reference without name": "A=x${}y\n",
    "reference without name, with default": "A=x${:-d}y\n",
    "reference cut by a comment": ("A=${B #}\nC=${B#}\n", {"B": "env", "B#": "sign"}),
    "reference to a quoted name": "'A B'=1\nC=\"${A B}\"\n",
    "reference to a name with marks": ("A=${B-x}${B+x}${B?x}${B=x}\n", {"B": "env", "B-x": "odd"}),
    "reference to letters beyond ASCII": ("A=${größe}\n", {"größe": "☃"}),
    "reference after letters beyond ASCII": ("A=größe ${B:x ☃ ${C:-𝄞}\n", {}),
    "reference to an unreadable line": ("B=\"1\" 2\nA=${B}\n", {"B": "env"}),
    "reference to a name in another case": ("b=file\nA=${B}\n", {"B": "env"}),
    # Empty values and names without value, in references.
    "reference to an empty value": ("B=\nA=x${B}\n", {"B": "env"}),
    "reference to an empty value with default": ("B=\nA=x${B:-d}\n", {"B": "env"}),
    "reference to an empty environment with default": ("A=x${B:-d}\n", {"B": ""}),
    "reference to a name without value": ("B\nA=x${B}\n", {"B": "env"}),
    "reference to a name without value with default": ("B\nA=x${B:-d}\n", {"B": "env"}),
    "name without value in the environment": ("B\n", {"B": "env"}),
    # Defaults.
    "default for nothing": "A=${B:-d}\n",
    "default not needed, environment": ("A=${B:-d}\n", {"B": "env"}),
    "default not needed, file": "B=file\nA=${B:-d}\n",
    "empty default": "A=x${B:-}y\n",
    "default with blanks": "A=${B:- one two }\n",
    "default with a comment mark": "A=${B:-one #two}\nC=\"${B:-one #two}\"\n",
    "default with quotes": "A=${B:-\"d\"}\nC=\"${B:-'d'}\"\n",
    "default with colons and dashes": "A=${B:-:-x:-}\n",
    "default with a url": "A=${B:-http://host:80/}\n",
    "default with a reference": ("A=${B:-${C}}\n", {"C": "env"}),
    "default with a reference, not needed": ("A=${B:-${C}}\n", {"B": "b", "C": "env"}),
    "default with an opening": "A=${B:-${}\n",
    "default over two lines": "A=\"${B:-one\ntwo}\"\n",
    "default with escaped brace": "A=\"${B:-x\\}y}\"\n",
    "default with letters beyond ASCII": "A=${größe:-☃}\n",
    # Invalid references.
    "dash without colon": ("A=${B-d}\n", {"B": "env"}),
    "colon without dash": ("A=${B:d}\n", {"B": "env"}),
    "colon and nothing": ("A=${B:}\n", {"B": "env"}),
    "colon and plus": ("A=${B:+x}${B:?x}${B:=x}\n", {"B": "env"}),
    "opening before a reference": ("A=${B${C}\n", {"C": "env", "B${C": "odd"}),
    "opening with colon before a reference": ("A=${B:${C}\n", {"C": "env"}),
    "many openings with colon": ("A=${B:${C:${D}${E:${F:-x}\n", {"D": "env"}),
    "many openings before one colon": ("A=${${${B:x}${B}\n", {"B": "env", "${${B": "odd"}),
    "many openings before one end": ("A=${${${B}\n", {"B": "env", "${${B": "odd"}),
    "two ends": ("A=${B}}\n", {"B": "env"}),
    "reference, then an opening": ("A=${B}${B\n", {"B": "env"}),
    # Duplicates.
    "duplicate": "A=1\nA=2\n",
    "duplicate stays at its first place": "A=1\nB=2\nA=3\n",
    "duplicate three times": "A=1\nB=2\nA=3\nB=4\nA=5\nC=6\n",
    "duplicate that is empty": "A=1\nA=\n",
    "duplicate without value": "A=1\nA\n",
    "duplicate of a name without value": "A\nB=1\nA=2\n",
    "duplicate with export": "export A=1\nA=2\n",
    "duplicate with quoted name": "'A'=1\nA=2\n",
    "duplicate that is unreadable": "A=1\nA=\"2\nB=3\n",
    "duplicate that differs in case": "A=1\na=2\nA=3\n",
    # Unreadable lines.
    "prose": "this is not a setting\nA=1\n",
    "section": "[section]\nA=1\n[other section]\nB=2\n",
    "several unreadable lines": "A=1\n=\nB=2\na b\n'x\nC=3\n=",
    "unreadable line after blank lines": "A=1\n\n \n  =2\nB=3\n",
    "unreadable line after a comment": "# x\n=2\nB=3\n",
    "unreadable line after quotes over lines": "A=\"\n\n\"\n=\n",
    "unreadable indented line": "    =x\n",
    "unreadable quoted name over two lines": "'A\nB' C=1\nD=2\n",
    "open quote after an open quote of the other kind": "A=\"one\nB='two\nC=3\n",
    "quotes that cross": "A=\"one'\nB='two\"\nC=3'\nD=4\n",
    "comment mark at the beginning of a name": "A=1\n#\n##\n #B=2\n",
    "html": "<!DOCTYPE html>\n<p class=\"x\">A=1</p>\n",
    "yaml": "a:\n  - b: 1\nA=1\n",
    # A realistic file.
    "whole file": (
        "\ufeff# Settings\r\n\r\nexport APP_NAME='Post API' # shown\r\nDEBUG=false\r\n"
        "DATABASE_HOST=db.example\r\nDATABASE_URL=\"sqlite://${DATABASE_HOST}/${NAME:-posts}\"\r\n"
        "SECRET_KEY=a$b#c\r\nEMPTY=\r\nUNSET\r\nnot a setting\r\nDEBUG=true\r\n",
        {"DATABASE_HOST": "env", "DEBUG": "env"},
    ),
}


def unreadable_lines(path):
    lines = []
    with path.open(encoding="utf-8") as stream:
        for binding in parse_stream(stream):
            if not binding.error:
                continue
            skipped = binding.original.string
            blank = skipped[: len(skipped) - len(skipped.lstrip())]
            lines.append(binding.original.line + blank.count("\n"))
    return lines


def record(path, name, text, environment):
    path.write_bytes(text.encode("utf-8"))
    with mock.patch.object(os, "environ", dict(environment)):
        values = dotenv_values(path, encoding="utf-8")
    return {
        "name": name,
        "text": text,
        "environment": environment,
        "expected": [[key, value] for key, value in values.items()],
        "unreadable_lines": unreadable_lines(path),
    }


def main():
    installed = importlib.metadata.version("python-dotenv")
    if installed != VERSION:
        raise SystemExit(f"python-dotenv {VERSION} is required, {installed} is installed")
    logging.getLogger("dotenv").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "dotenv"
        records = []
        for name, case in CASES.items():
            text, environment = (case, {}) if isinstance(case, str) else case
            records.append(record(path, name, text, environment))
    lines = ",\n".join(json.dumps(entry) for entry in records)
    target = pathlib.Path(__file__).with_suffix(".json")
    target.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
