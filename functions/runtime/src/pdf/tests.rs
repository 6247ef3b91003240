use lopdf::{Dictionary, Object, Stream, dictionary};

use super::cmap::bounded_cmap;
use super::*;

const HELLO: &str = "BT /F1 12 Tf 72 700 Td (Hello, paper) Tj ET";

fn read(bytes: Vec<u8>) -> Result<String, PdfError> {
    text(bytes, Limits::default())
}

fn helvetica() -> Dictionary {
    dictionary! {"Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica"}
}

/// A file of one page with these operators, this font and these further objects' changes.
fn file(content: &str, font: Dictionary, change: impl Fn(&mut Document, ObjectId)) -> Vec<u8> {
    let mut document = Document::with_version("1.5");
    let pages = document.new_object_id();
    let content = document.add_object(Stream::new(dictionary! {}, content.into()));
    let font = document.add_object(font);
    let page = document.add_object(dictionary! {
        "Type" => "Page",
        "Parent" => pages,
        "Contents" => content,
        "MediaBox" => vec![0.into(), 0.into(), 612.into(), 792.into()],
        "Resources" => dictionary! {"Font" => dictionary! {"F1" => font}},
    });
    let tree = dictionary! {"Type" => "Pages", "Kids" => vec![page.into()], "Count" => 1};
    document.objects.insert(pages, tree.into());
    let catalog = document.add_object(dictionary! {"Type" => "Catalog", "Pages" => pages});
    document.trailer.set("Root", catalog);
    change(&mut document, page);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

fn set_forms(document: &mut Document, page: ObjectId, forms: Dictionary) {
    let page = document
        .get_object_mut(page)
        .unwrap()
        .as_dict_mut()
        .unwrap();
    let resources = page.get_mut(b"Resources").unwrap().as_dict_mut().unwrap();
    resources.set("XObject", forms);
}

#[test]
fn a_files_text_is_read() {
    let bytes = file(HELLO, helvetica(), |_, _| {});
    assert_eq!(read(bytes).unwrap(), "Hello, paper");
}

#[test]
fn operators_with_wrong_operands_cost_nothing_but_themselves() {
    let broken =
        "/Nope cs 1 scn /X Do (no font yet) Tj 1 cm /F9 3 Tf Tj [(a) /b 3] TJ BT (x) Td ET Q ";
    let bytes = file(&format!("{broken}{HELLO}"), helvetica(), |_, _| {});
    assert_eq!(read(bytes).unwrap(), "Hello, paper");
}

#[test]
fn quote_operators_show_text_too() {
    let bytes = file(
        "BT /F1 12 Tf 14 TL 72 700 Td (one) ' 1 2 (two) \" ET",
        helvetica(),
        |_, _| {},
    );
    let text = read(bytes).unwrap();
    assert!(text.contains("one") && text.contains("two"), "{text}");
}

#[test]
fn a_broken_font_does_not_lose_the_page() {
    let mut font = helvetica();
    font.set("Encoding", "NoSuchEncoding");
    let bytes = file(HELLO, font, |_, _| {});
    assert_eq!(read(bytes).unwrap(), "Hello, paper");
}

/// Makes the file's font one of two-byte codes that are UTF-16, as Word writes it.
fn set_composite(document: &mut Document, descriptor: Option<Object>) {
    const UTF_16: &str = "/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n\
                          1 begincodespacerange <0000> <FFFF> endcodespacerange\n\
                          1 beginbfrange <0000> <00FF> <0000> endbfrange\n\
                          endcmap CMapName currentdict /CMap defineresource pop end end";
    let mut cid_font =
        dictionary! {"Type" => "Font", "Subtype" => "CIDFontType2", "BaseFont" => "Arial"};
    if let Some(descriptor) = descriptor {
        cid_font.set("FontDescriptor", descriptor);
    }
    let cid_font = document.add_object(cid_font);
    let to_unicode = document.add_object(Stream::new(dictionary! {}, UTF_16.into()));
    let is_font = |object: &&mut Object| object.as_dict().is_ok_and(|it| it == &helvetica());
    let font = document.objects.values_mut().find(is_font).unwrap();
    *font = dictionary! {
        "Type" => "Font", "Subtype" => "Type0", "BaseFont" => "Arial", "Encoding" => "Identity-H",
        "DescendantFonts" => vec![cid_font.into()], "ToUnicode" => to_unicode,
    }
    .into();
}

#[test]
fn a_composite_font_needs_no_descriptor() {
    let hello = "BT /F1 12 Tf 72 700 Td <00480065006C006C006F002C002000700061007000650072> Tj ET";
    let nowhere = Object::Reference((9_999, 0));
    for descriptor in [None, Some(nowhere), Some(Dictionary::new().into())] {
        let bytes = file(hello, helvetica(), |document, _| {
            set_composite(document, descriptor.clone());
        });
        assert_eq!(read(bytes).unwrap(), "Hello, paper", "{descriptor:?}");
    }
}

#[test]
fn text_inside_forms_is_read_and_forms_inside_themselves_end() {
    let bytes = file("/A Do", helvetica(), |document, page| {
        let font = document.add_object(helvetica());
        let form = document.new_object_id();
        let resources = dictionary! {
            "Font" => dictionary! {"F1" => font},
            "XObject" => dictionary! {"A" => form},
        };
        let fields =
            dictionary! {"Type" => "XObject", "Subtype" => "Form", "Resources" => resources};
        let content = format!("{HELLO} /A Do");
        document
            .objects
            .insert(form, Stream::new(fields, content.into()).into());
        set_forms(document, page, dictionary! {"A" => form});
    });
    assert_eq!(read(bytes).unwrap(), "Hello, paper");
}

#[test]
fn forms_that_multiply_are_left_out() {
    let bytes = file(&format!("{HELLO} /L0 Do"), helvetica(), |document, page| {
        let ids: Vec<ObjectId> = (0..8).map(|_| document.new_object_id()).collect();
        for (level, id) in ids.iter().enumerate() {
            let next = ids.get(level + 1).copied();
            let inner = next.map_or_else(Dictionary::new, |next| dictionary! {"N" => next});
            let fields = dictionary! {
                "Subtype" => "Form", "Resources" => dictionary! {"XObject" => inner},
            };
            let content = "/N Do ".repeat(1_000) + "q Q ";
            document
                .objects
                .insert(*id, Stream::new(fields, content.into()).into());
        }
        set_forms(document, page, dictionary! {"L0" => ids[0]});
    });
    assert_eq!(read(bytes).unwrap(), "Hello, paper");
}

#[test]
fn a_packed_bomb_is_not_unpacked() {
    let bytes = file("", helvetica(), |document, page| {
        let mut bomb = Stream::new(dictionary! {}, vec![b' '; STREAM_LIMIT + 1]);
        bomb.compress().unwrap();
        let bomb = document.add_object(bomb);
        let page = document
            .get_object_mut(page)
            .unwrap()
            .as_dict_mut()
            .unwrap();
        page.set("Contents", bomb);
    });
    assert!(bytes.len() < 1 << 20);
    assert_eq!(read(bytes).unwrap(), "");
}

#[test]
fn a_character_map_without_bounds_is_not_used() {
    let cmap =
        |ranges: &str| bounded_cmap(format!("1 beginbfrange {ranges} endbfrange").as_bytes());
    assert!(cmap("<0000> <FFFF> <0041>"));
    assert!(cmap("<00> <02> [<0041> <0042> <0043>] <03> <04> <0050>"));
    assert!(!cmap("<00000000> <FFFFFFFF> <0041>"));
    assert!(!cmap("<0000> % <0001>\n<FFFFFFFF> <0041>"));
    assert!(!cmap("(a) (z) <0041>"));
    assert!(bounded_cmap(b"\x00\xff a font"));
}

#[test]
fn limits_on_characters_hold() {
    let limits = Limits {
        characters: 5,
        ..Limits::default()
    };
    let bytes = file(HELLO, helvetica(), |_, _| {});
    assert_eq!(text(bytes, limits).unwrap(), "Hello");
}

#[test]
fn what_is_no_pdf_is_a_clean_error() {
    for bytes in [
        &b""[..],
        b"<html>captcha</html>",
        b"%PDF-1.7\n%%EOF",
        &[0xff; 4096],
    ] {
        let error = read(bytes.to_vec()).unwrap_err();
        assert!(matches!(error, PdfError::Unreadable { .. }), "{error}");
    }
}

#[test]
fn cut_and_changed_files_never_panic() {
    let whole = file(HELLO, helvetica(), |_, _| {});
    for cut in (0..whole.len()).step_by(37) {
        let _ = read(whole[..cut].to_vec());
        let mut changed = whole.clone();
        changed[cut] ^= 0x15;
        let _ = read(changed);
    }
}

#[test]
fn ligatures_become_letters_and_control_characters_spaces() {
    assert_eq!(
        tidy("\n e\u{fb03}cient \u{fb02}ow\u{0}x  \n\n\n\nend\n"),
        " efficient flow x\n\nend"
    );
}

/// Files of the project, by the words that their text has.
const FILES: [(&str, &str); 3] = [
    ("latex_multicolumn_ccbysa.pdf", "Two-Column Document"),
    ("ligatures_one_line.pdf", "abcdef"),
    ("encrypted_empty_user_password.pdf", ""),
];

fn assert_texts(texts: &[(&str, &str)], bytes_of: impl Fn(&str) -> Vec<u8>) {
    let mut wrong = Vec::new();
    for (name, words) in texts {
        match read(bytes_of(&format!("pdf/{name}"))) {
            Ok(text) if text.contains(words) && !text.contains(['\u{fb00}', '\u{fb01}']) => {}
            other => wrong.push(format!("{name}: {:.300}", format!("{other:?}"))),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_of_other_programs_give_their_text() {
    assert_texts(&FILES, annapurna_test_data::file);
    let form = annapurna_test_data::file("pdf/encrypted_empty_user_password.pdf");
    assert!(
        read(form).unwrap().len() > 2_000,
        "opens without a password"
    );
}

/// See `functions/test-data/make.py`: what the recorded papers have, in files that may be here.
#[test]
fn an_equation_keeps_its_symbols_its_indices_and_the_words_around_it() {
    let text = read(annapurna_test_data::file("made/equations.pdf")).unwrap();
    for part in [
        "θ",
        "∑",
        "i=1",
        "f(x",
        "≤ ∞",
        "x ∈ ℝ",
        "the gradient is ∇L",
        "efficient",
    ] {
        assert!(text.contains(part), "`{part}` in `{text}`");
    }
}

#[test]
fn a_damaged_file_gives_what_can_be_found_of_it_and_ends() {
    let read = |name: &str| {
        read(annapurna_test_data::file(&format!(
            "made/damaged_{name}.pdf"
        )))
    };
    let text = read("table_is_misplaced").unwrap();
    for page in 1..=3 {
        let words = format!("Page {page} of a paper");
        assert!(text.contains(&words), "`{words}` in `{text}`");
    }
    assert_eq!(read("forms_of_each_other"), Ok(String::new()));
    // Its catalog is named behind the end.
    assert_eq!(read("ends_in_its_last_page"), Ok(String::new()));
}

#[test]
fn a_file_with_a_password_is_encrypted_and_a_scan_has_no_text() {
    let closed = annapurna_test_data::file("pdf/encrypted_user_password_openpassword.pdf");
    assert_eq!(read(closed), Err(PdfError::Encrypted));
    let scan = annapurna_test_data::file("pdf/image_only_ccitt_fax_scan.pdf");
    assert_eq!(read(scan).as_deref(), Ok(""));
}

#[test]
fn columns_come_one_after_the_other_as_the_file_has_them() {
    let content = "BT /F1 10 Tf 72 700 Td (The left column ends with a hyphen-) Tj 0 -12 Td \
        (ated word.) Tj ET BT /F1 10 Tf 320 700 Td (The right column) Tj 0 -12 Td \
        (has its own.) Tj ET";
    let text = read(file(content, helvetica(), |_, _| {})).unwrap();
    let place = |words: &str| {
        text.find(words)
            .unwrap_or_else(|| panic!("{words}: {text}"))
    };
    assert!(place("hyphen-") < place("ated word."), "{text}");
    assert!(place("ated word.") < place("The right column"), "{text}");
    assert!(place("The right column") < place("has its own."), "{text}");
}

#[test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
fn real_papers_give_their_own_sentences() {
    let expected = [
        (
            "arxiv_1706.03762_attention_neurips2017_style.pdf",
            "Attention Is All You Need",
        ),
        (
            "arxiv_1512.03385_resnet_two_column.pdf",
            "Deep Residual Learning",
        ),
        ("arxiv_2205.14135_flashattention_math.pdf", "IO-Awareness"),
        (
            "arxiv_2002.08909_realm_icml_two_column.pdf",
            "Language Model Pre-Training",
        ),
        ("arxiv_1910.02054_zero_systems.pdf", "Memory Optimizations"),
        (
            "arxiv_2203.14465_star_neurips_style.pdf",
            "Bootstrapping Reasoning",
        ),
        (
            "arxiv_1503.02531_distillation_quartz_resaved.pdf",
            "Distilling the Knowledge",
        ),
        ("adam_iclr2015_pdfium_resaved.pdf", "first-order"),
        ("pondernet_icml_automl_workshop.pdf", "PonderNet"),
        ("pmlr_v220_carrion-ojeda23a.pdf", "NeurIPS"),
        ("pmlr_v220_mazeika23a_luatex.pdf", "Trojan"),
        ("naacl06_two_column_dvipdfm.pdf", "Information Extraction"),
        ("tracemonkey_two_column.pdf", "Trace-based"),
        (
            "corrupted_zen_of_python.pdf",
            "Beautiful is better than ugly",
        ),
    ];
    assert_texts(&expected, annapurna_test_data::outside);
}

#[test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
fn a_real_file_of_aes_256_is_encrypted_and_a_damaged_one_ends() {
    let closed = annapurna_test_data::outside("pdf/encrypted_aes256_user_password_foo.pdf");
    assert_eq!(read(closed), Err(PdfError::Encrypted));
    let damaged = annapurna_test_data::outside("pdf/damaged_no_startxref_recursive_xobjects.pdf");
    assert!(read(damaged).unwrap().len() < 100);
}
