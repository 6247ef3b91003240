#!/usr/bin/env python3
"""Makes the files of `data/made/`: PDFs with equations, damaged PDFs, and a list of papers whose titles are hard to keep.

They stand in for recordings that may not be redistributed, in the same shapes. Same input, same bytes.
Run it without arguments to write them, with --check to compare them with what is there."""

import json
import pathlib
import sys

FOLDER = pathlib.Path(__file__).parent / "data" / "made"

# Codes of the font of symbols, as TeX's fonts have them: any code, told by a table.
SYMBOLS = "∑∫≤∈∇θλπ∞−∂ℝ"


def stream(content: bytes, fields: str = "") -> bytes:
    return b"<< %s/Length %d >>\nstream\n%s\nendstream" % (fields.encode(), len(content), content)


def pdf(objects: list[bytes], shift: int = 0, trailer: bool = True) -> bytes:
    """A file of these objects, numbered from 1, the first its catalog; `shift` misplaces its table."""
    out, places = b"%PDF-1.5\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out) + shift)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    if trailer:
        out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
        out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\n" % (len(objects) + 1)
    if trailer:
        out += b"startxref\n%d\n%%%%EOF\n" % start
    return out


def pages(contents: list[bytes], resources: str) -> list[bytes]:
    """Catalog, tree, then a page and its content each."""
    kids = " ".join(f"{3 + 2 * number} 0 R" for number in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [ {kids} ] /Count {len(contents)} >>".encode(),
    ]
    for number, content in enumerate(contents):
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {4 + 2 * number} 0 R "
        objects += [(page + f"/Resources << {resources} >> >>").encode(), stream(content)]
    return objects


def equations() -> bytes:
    """Words in one font, symbols in another with a table of its own, indices in a smaller size."""
    content = b"""BT /F1 10 Tf 72 700 Td (We minimise the loss over ) Tj /F2 10 Tf <05> Tj /F1 10 Tf (:) Tj ET
BT /F1 10 Tf 150 660 Td (L\\() Tj /F2 10 Tf <05> Tj /F1 10 Tf (\\) = ) Tj /F2 14 Tf <00> Tj
/F1 6 Tf -4 Ts (i=1) Tj 0 Ts /F1 10 Tf [( \\() -20 (y) 10] TJ /F1 6 Tf -3 Ts (i) Tj 0 Ts
/F2 10 Tf ( ) Tj <09> Tj /F1 10 Tf ( f\\(x) Tj /F1 6 Tf -3 Ts (i) Tj 0 Ts /F1 10 Tf (\\)\\)) Tj
/F1 6 Tf 5 Ts (2) Tj 0 Ts /F2 10 Tf ( ) Tj <02> Tj /F1 10 Tf ( ) Tj /F2 10 Tf <08> Tj ET
BT /F1 10 Tf 72 620 Td (where x ) Tj /F2 10 Tf <03> Tj ( ) Tj <0B> Tj /F1 6 Tf 5 Ts (d) Tj 0 Ts
/F1 10 Tf ( and the gradient is ) Tj /F2 10 Tf <04> Tj /F1 10 Tf (L; it is e\\013cient.) Tj ET"""
    table = "\n".join(f"<{code:02X}> <{ord(symbol):04X}>" for code, symbol in enumerate(SYMBOLS))
    table += "\n<20> <0020>"
    cmap = f"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap
1 begincodespacerange <00> <FF> endcodespacerange
{len(SYMBOLS) + 1} beginbfchar
{table}
endbfchar
endcmap CMapName currentdict /CMap defineresource pop end end"""
    words = "<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding << /Differences [ 11 /ffi /fi ] >> >>"
    symbols = "<< /Type /Font /Subtype /Type1 /BaseFont /Symbol /ToUnicode 7 0 R >>"
    objects = pages([content], "/Font << /F1 5 0 R /F2 6 0 R >>")
    return pdf(objects + [words.encode(), symbols.encode(), stream(cmap.encode())])


def text_of(number: int) -> bytes:
    return b"BT /F1 12 Tf 72 700 Td (Page %d of a paper on thimbles.) Tj ET" % number


def three_pages() -> list[bytes]:
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    return pages([text_of(1), text_of(2), text_of(3)], "/Font << /F1 9 0 R >>") + [font]


def forms_of_each_other() -> bytes:
    """No table, no start of one, and two forms that draw each other."""
    resources = "/Font << /F1 5 0 R >> /XObject << /A 6 0 R /B 7 0 R >>"
    form = f"/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << {resources} >> "
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    forms = [stream(b"/B Do /B Do", form), stream(b"/A Do /A Do", form)]
    return pdf(pages([b"/A Do"], resources) + [font, *forms], trailer=False)


# A title and what is hard about it: maths, entities, tags that are words, quotes, scripts, length, nothing but a digit.
TITLES = [
    "$\\ell_1$-Regression when $W<d$ and $k>n$", "Thimbles & Needles: AT&T's View", "On the <projektor> of <human, action>",
    "\"Why?\" She Asked: 'Quotes' in Titles", "Gödel, Erdős and Ångström Sew a Seam", "注意機構の縫い方",
    "О стежках", "0", "A", "R&D of <b> Tags", "x <= 3 and </i> is no End", "Proofs, 50% Shorter (and {Braces})",
    "Emoji 🧵 in a Title", "Tabs\tand  Blanks", "Ünïcödé – Dashes — and … Dots", "C++ and C# at http://example.org/?a=1&b=2",
    "Very " + "long " * 80 + "Title", "$\\mathcal{O}(\\sqrt{d/n})$ Excess Risk", "Backslash \\ and `Backtick`", "ﬁne ﬂow of eﬃcient ligatures",
]
STATUSES = ["Poster", "Oral", "Reject", "Workshop", "Withdraw"]


def papers() -> bytes:
    made = [
        {
            "id": f"made{number:06}",
            "title": title if number < len(TITLES) else f"{title} ({number // len(TITLES) + 1})",
            "track": "main",
            "status": STATUSES[number // len(TITLES) % len(STATUSES)],
            "abstract": f"We sew paper {number}: if a<b and $c>d$, then {title} & more.",
        }
        for number, title in enumerate(TITLES * 6)
    ]
    return (json.dumps(made, ensure_ascii=False, indent=1) + "\n").encode()


def files() -> dict[str, bytes]:
    whole = pdf(three_pages())
    return {
        "equations.pdf": equations(),
        "damaged_forms_of_each_other.pdf": forms_of_each_other(),
        "damaged_table_is_misplaced.pdf": pdf(three_pages(), shift=7),
        "damaged_ends_in_its_last_page.pdf": whole[: whole.index(b"Page 3") + 4],
        "papers.json": papers(),
    }


def main() -> int:
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        print(__doc__, file=sys.stderr)
        return 2
    FOLDER.mkdir(exist_ok=True)
    stale = [name for name, body in files().items() if not (FOLDER / name).is_file() or (FOLDER / name).read_bytes() != body]
    if check and stale:
        print(f"not what {pathlib.Path(__file__).name} makes: {', '.join(stale)}; run it", file=sys.stderr)
        return 1
    for name in stale:
        (FOLDER / name).write_bytes(files()[name])
    return 0


if __name__ == "__main__":
    sys.exit(main())
