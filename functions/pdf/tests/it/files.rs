//! What is read of files of many programs, and of broken ones.

use annapurna_pdf::{Limits, Paper, PdfError, SectionKind, read};

use crate::make::{HELLO, HELVETICA, one_page, page, stream};

async fn paper(bytes: Vec<u8>) -> Result<Paper, PdfError> {
    read(bytes, Limits::default()).await
}

async fn text(bytes: Vec<u8>) -> String {
    paper(bytes).await.unwrap().text()
}

#[tokio::test]
async fn a_files_text_is_read() {
    assert_eq!(text(page(HELLO)).await, "Hello, paper");
}

#[tokio::test]
async fn operators_with_wrong_operands_cost_nothing_but_themselves() {
    let broken =
        "/Nope cs 1 scn /X Do (no font yet) Tj 1 cm /F9 3 Tf Tj [(a) /b 3] TJ BT (x) Td ET Q ";
    let text = text(page(&format!("{broken}{HELLO}"))).await;
    assert!(text.contains("Hello, paper"), "{text}");
}

#[tokio::test]
async fn quote_operators_show_text_too() {
    let shown = page("BT /F1 12 Tf 14 TL 72 700 Td (one) ' 0 0 (two) \" ET");
    assert_eq!(text(shown).await, "one\ntwo");
}

#[tokio::test]
async fn a_broken_font_does_not_lose_the_page() {
    for font in [
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /NoSuchEncoding >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Widths 7 /FirstChar (a) >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Odd /FontDescriptor << /FontFile 4 0 R >> >>",
    ] {
        let bytes = one_page(
            "",
            "",
            stream("", HELLO.as_bytes()),
            font.into(),
            Vec::new(),
        );
        assert_eq!(text(bytes).await, "Hello, paper", "{font}");
    }
}

#[tokio::test]
async fn a_composite_font_of_utf_16_needs_no_descriptor() {
    let map = b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n\
        1 begincodespacerange <0000> <FFFF> endcodespacerange\n\
        1 beginbfrange <0000> <00FF> <0000> endbfrange\n\
        endcmap CMapName currentdict /CMap defineresource pop end end";
    let hello = b"BT /F1 12 Tf 72 700 Td <00480065006C006C006F002C002000700061007000650072> Tj ET";
    for descriptor in ["", "/FontDescriptor 99 0 R", "/FontDescriptor << >>"] {
        let font = format!(
            "<< /Type /Font /Subtype /Type0 /BaseFont /Arial /Encoding /Identity-H /ToUnicode 6 0 R \
             /DescendantFonts [<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Arial {descriptor} >>] >>"
        );
        let more = vec![stream("", map)];
        let bytes = one_page("", "", stream("", hello), font.into_bytes(), more);
        assert_eq!(text(bytes).await, "Hello, paper", "{descriptor}");
    }
}

#[tokio::test]
async fn text_inside_forms_is_read_at_its_place() {
    let entries = "/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Matrix [1 0 0 1 0 -20] \
                   /Resources << /Font << /F1 5 0 R >> >>";
    let form = stream(entries, HELLO.as_bytes());
    let content = stream("", format!("{HELLO} /A Do").as_bytes());
    let bytes = one_page(
        "",
        "/XObject << /A 6 0 R >>",
        content,
        HELVETICA.into(),
        vec![form],
    );
    assert_eq!(text(bytes).await, "Hello, paper\nHello, paper");
}

#[tokio::test]
async fn limits_on_pages_and_text_hold() {
    let bytes = annapurna_test_data::file("made/damaged_table_is_misplaced.pdf");
    let limits = Limits {
        pages: 1,
        ..Limits::default()
    };
    let paper = read(bytes, limits).await.unwrap();
    let text = paper.text();
    assert!(
        text.contains("Page 1 of a paper") && !text.contains("Page 2"),
        "{text}"
    );
    assert_eq!(paper.n_pages, 3);
}

#[tokio::test]
async fn what_is_no_pdf_is_a_clean_error() {
    for bytes in [
        &b""[..],
        b"<html>captcha</html>",
        b"%PDF-1.7\n%%EOF",
        &[0xff; 4096],
    ] {
        let error = paper(bytes.to_vec()).await.unwrap_err();
        assert!(matches!(error, PdfError::Unreadable { .. }), "{error}");
    }
}

#[tokio::test]
async fn files_of_other_programs_give_their_text() {
    let file = |name: &str| annapurna_test_data::file(&format!("pdf/{name}"));
    let columns = text(file("latex_multicolumn_ccbysa.pdf")).await;
    assert!(columns.contains("Two-Column Document"), "{columns}");
    let ligatures = text(file("ligatures_one_line.pdf")).await;
    assert!(ligatures.contains("abcdef"), "{ligatures}");
    let form = text(file("encrypted_empty_user_password.pdf")).await;
    assert!(form.len() > 2_000, "opens without a password: {form}");
}

/// See `functions/test-data/make.py`: what the recorded papers have, in files that may be here.
#[tokio::test]
async fn an_equation_keeps_its_symbols_its_indices_and_the_words_around_it() {
    let text = text(annapurna_test_data::file("made/equations.pdf")).await;
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

#[tokio::test]
async fn a_damaged_file_gives_what_can_be_found_of_it_and_ends() {
    let file = |name: &str| annapurna_test_data::file(&format!("made/damaged_{name}.pdf"));
    let misplaced = text(file("table_is_misplaced")).await;
    for page in 1..=3 {
        let words = format!("Page {page} of a paper");
        assert!(misplaced.contains(&words), "`{words}` in `{misplaced}`");
    }
    assert_eq!(text(file("forms_of_each_other")).await, "");
    let end = paper(file("ends_in_its_last_page")).await;
    assert!(
        !matches!(
            end,
            Err(PdfError::TooMuch { .. } | PdfError::TooSlow { .. })
        ),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_file_with_a_password_is_encrypted_and_a_scan_has_no_text() {
    let closed = annapurna_test_data::file("pdf/encrypted_user_password_openpassword.pdf");
    assert_eq!(paper(closed).await, Err(PdfError::Encrypted));
    let scan = annapurna_test_data::file("pdf/image_only_ccitt_fax_scan.pdf");
    assert_eq!(text(scan).await, "");
}

#[tokio::test]
async fn columns_come_one_after_the_other_and_broken_words_are_whole() {
    let content = "BT /F1 10 Tf 72 700 Td (The left column ends with a hyphen-) Tj 0 -12 Td \
        (ated word.) Tj ET BT /F1 10 Tf 320 700 Td (The right column) Tj 0 -12 Td \
        (has its own.) Tj ET";
    assert_eq!(
        text(page(content)).await,
        "The left column ends with a hyphenated word.\nThe right column\nhas its own."
    );
}

/// Sections that the recorded papers have, and what must not be among what a model sees.
#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn real_papers_fall_into_their_sections() {
    use SectionKind as K;
    let expected: [(&str, &[(&str, K)]); 5] = [
        (
            "arxiv_1706.03762_attention_neurips2017_style.pdf",
            &[
                ("3 Model Architecture", K::Method),
                ("5.3 Optimizer", K::Settings),
                ("References", K::References),
            ],
        ),
        (
            "arxiv_1512.03385_resnet_two_column.pdf",
            &[
                ("3.1. Residual Learning", K::Method),
                ("3.4. Implementation", K::Settings),
                ("References", K::References),
            ],
        ),
        (
            "adam_iclr2015_pdfium_resaved.pdf",
            &[
                ("2 ALGORITHM", K::Method),
                ("6 EXPERIMENTS", K::Experiments),
                ("REFERENCES", K::References),
            ],
        ),
        (
            "arxiv_2205.14135_flashattention_math.pdf",
            &[
                ("1 Introduction", K::Introduction),
                ("References", K::References),
            ],
        ),
        (
            "pondernet_icml_automl_workshop.pdf",
            &[("2. Methods", K::Method), ("References", K::References)],
        ),
    ];
    let mut wrong = Vec::new();
    for (name, titles) in expected {
        let paper = paper(annapurna_test_data::outside(&format!("pdf/{name}")))
            .await
            .unwrap();
        let has: Vec<(&str, K)> = paper
            .sections
            .iter()
            .map(|it| (it.title.as_str(), it.kind))
            .collect();
        for (title, kind) in titles {
            if !has
                .iter()
                .any(|(it, of)| it.starts_with(title) && of == kind)
            {
                wrong.push(format!("{name}: no `{title}` of {kind:?} in {has:?}"));
            }
        }
        let shown = paper.for_model(60_000);
        if shown.contains("arXiv preprint") || shown.contains("[cs.CL]") {
            wrong.push(format!("{name}: bibliography or stamp is shown"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
#[ignore = "reads ANNAPURNA_DATA: recordings that may not be redistributed"]
async fn real_papers_give_their_own_sentences() {
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
    for (name, words) in expected {
        let text = text(annapurna_test_data::outside(&format!("pdf/{name}"))).await;
        assert!(
            text.contains(words) && !text.contains(['\u{fb00}', '\u{fb01}']),
            "{name}: {text:.300}"
        );
    }
    let closed = annapurna_test_data::outside("pdf/encrypted_aes256_user_password_foo.pdf");
    assert_eq!(paper(closed).await, Err(PdfError::Encrypted));
    let damaged = annapurna_test_data::outside("pdf/damaged_no_startxref_recursive_xobjects.pdf");
    assert!(text(damaged).await.len() < 100);
}
