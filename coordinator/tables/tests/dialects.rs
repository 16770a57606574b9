//! The same table in the ways in which programs of the field write it: the same points, or a sentence that says why not.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use tables::{Choice, Chosen, read};

/// N, D and the loss.
const ROWS: [(f64, f64, f64); 4] =
    [(2.5e7, 5e8, 4.5125), (2.5e7, 1.5e9, 4.125), (1.25e8, 5e8, 4.0625), (1.25e8, 1.5e9, 3.75)];

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }
}

fn rows(row: impl Fn(f64, f64, f64) -> String) -> String {
    ROWS.iter().map(|(n, d, loss)| row(*n, *d, *loss)).collect()
}

fn plain() -> String {
    format!("params,tokens,loss\n{}", rows(|n, d, loss| format!("{n},{d},{loss}\n")))
}

fn choose(path: &Path) -> Chosen {
    let table = read(path).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
    table.choose(&Choice::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn are_the_points(path: &Path) -> Chosen {
    let chosen = choose(path);
    let found: Vec<(f64, f64, f64)> = chosen.points.iter().map(|point| (point.n, point.d, point.loss)).collect();
    assert_eq!(found, ROWS, "{}", path.display());
    chosen
}

fn refused(path: &Path) -> String {
    match read(path) {
        Err(error) => vocabulary::text::one_line(&error),
        Ok(table) => table.choose(&Choice::default()).expect_err("refused").to_string(),
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}

fn utf16(text: &str, big: bool) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(|unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

#[test]
fn separators_encodings_and_packing_do_not_matter() {
    let folder = Folder::new();
    let comma = |number: f64| number.to_string().replace('.', ",");
    let grouped = |number: f64| {
        let digits = number.to_string();
        let groups: Vec<&str> =
            digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).expect("digits")).collect();
        groups.join(",")
    };
    let tabs = plain().replace(',', "\t");
    let same = [
        folder.write("a.csv", plain()),
        folder.write("A.CSV", plain().replace('\n', "\r\n")),
        folder.write("bom.csv", format!("\u{feff}{}", plain())),
        folder.write("tabs.tsv", &tabs),
        folder.write("tabs.csv", &tabs),
        folder.write("bars.csv", plain().replace(',', "|")),
        folder.write("le.tsv", utf16(&tabs, false)),
        folder.write("be.csv", utf16(&plain(), true)),
        folder.write("a.csv.gz", gzipped(plain().as_bytes())),
        folder.write("packed.csv", gzipped(plain().as_bytes())),
        folder.write("a.tsv.zst", zstd::encode_all(tabs.as_bytes(), 1).expect("packed")),
        folder.write("semicolons.csv", plain().replace(',', ";")),
        folder.write("europe.csv", format!("params;tokens;loss\n{}", rows(|n, d, l| format!("{n};{d};{}\n", comma(l))))),
        folder.write("excel.csv", format!("sep=;\nparams;tokens;loss\n{}", rows(|n, d, l| format!("{n};{d};{l}\n")))),
        folder.write("quoted.csv", format!("\"params\",\"tokens\",\"loss\"\n{}", rows(|n, d, l| format!("\"{}\",\"{}\",{l}\n", grouped(n), grouped(d))))),
        folder.write("ragged.csv", format!("# a sweep\n\n{}\n  \n,,\n", plain().replace('\n', ",,\n").replacen(",,\n", "\n", 1))),
        folder.write("units.csv", format!("params,tokens,loss\n{}", rows(|n, d, l| format!("{}M,{} bn,{l}\n", n / 1e6, d / 1e9)))),
        folder.write("header.csv", format!("Params (M),Tokens_B,Val Loss\n{}", rows(|n, d, l| format!("{},{},{l}\n", n / 1e6, d / 1e9)))),
        folder.write("order.csv", format!("loss,x,tokens,params\n{}", rows(|n, d, l| format!("{l},,{d},{n}\n")))),
        folder.write("camel.csv", format!("numParams,numTokens,finalLoss\n{}", rows(|n, d, l| format!("{n:e},{d:E},{l}\n")))),
        folder.write("array.json", format!("[{}]", rows(|n, d, l| format!("{{\"params\": {n}, \"tokens\": {d}, \"loss\": {l}}},")).trim_end_matches(','))),
        folder.write("lines.json", rows(|n, d, l| format!("{{\"params\": {n}, \"tokens\": {d}, \"loss\": {l}}}\n"))),
        folder.write("text.jsonl", rows(|n, d, l| format!("{{\"params\": \"{n}\", \"tokens\": \"{d}\", \"loss\": \"{l}\"}}\n"))),
        folder.write("spread.jsonl", rows(|n, d, l| format!("{{\n  \"params\": {n},\n  \"tokens\": {d},\n  \"loss\": {l}\n}}\n"))),
        folder.write("nan.jsonl", rows(|n, d, l| format!("{{\"params\": {n}, \"tokens\": {d}, \"loss\": {l}, \"set\": \"a/Infinity-b \\\" NaN\", \"mmlu\": [NaN, -Infinity], \"arc\": Infinity}}\n"))),
        parquet_of_text(&folder),
    ];
    for path in &same {
        are_the_points(path);
    }
    let said = |name: &str| are_the_points(&folder.0.path().join(name)).notes.join("; ");
    assert!(said("europe.csv").contains("separated by semicolons"), "{}", said("europe.csv"));
    assert!(said("europe.csv").contains("a comma begins the fraction"));
    assert!(said("header.csv").contains("N is in millions, as \"Params (M)\" says"), "{}", said("header.csv"));
    assert!(said("ragged.csv").contains("begin with #"));
    assert_eq!(said("a.csv"), "");
}

/// As pandas writes columns of objects.
fn parquet_of_text(folder: &Folder) -> PathBuf {
    let path = folder.0.path().join("text.parquet");
    let schema =
        "message table { required binary params (UTF8); required binary tokens (UTF8); required binary loss; }";
    let schema = Arc::new(parse_message_type(schema).expect("a schema"));
    let file = std::fs::File::create(&path).expect("created");
    let mut writer =
        SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::builder().build())).expect("a writer");
    let mut group = writer.next_row_group().expect("a group");
    for values in [ROWS.map(|row| row.0), ROWS.map(|row| row.1), ROWS.map(|row| row.2)] {
        let mut column = group.next_column().expect("no error").expect("a column");
        let values = values.map(|value| ByteArray::from(value.to_string().into_bytes()));
        column.typed::<ByteArrayType>().write_batch(&values, None, None).expect("written");
        column.close().expect("closed");
    }
    group.close().expect("closed");
    writer.close().expect("closed");
    path
}

#[test]
fn what_is_not_read_is_named() {
    let folder = Folder::new();
    let said = [
        ("a.txt", plain().into_bytes(), ".csv, .tsv"),
        ("a.xlsx", b"PK\x03\x04".to_vec(), "save the sheet as .csv"),
        ("sheet.csv", b"PK\x03\x04....".to_vec(), "zip"),
        ("a.csv.bz2", b"BZh9".to_vec(), "unpack it first"),
        ("renamed.csv", b"BZh9....".to_vec(), "bzip2"),
        ("latin.csv", b"params,tokens,loss\n1,2,caf\xe9\n".to_vec(), "line 2 is not UTF-8"),
        ("no-mark.csv", utf16(&plain(), false)[2..].to_vec(), "UTF-16"),
        ("headless.csv", b"1,2,3\n4,5,6\n".to_vec(), "add a header"),
        (
            "long.csv",
            b"params,tokens,loss\n24000000,500000000,4,7361\n".to_vec(),
            "line 2 has 4 fields, and the header has 3",
        ),
        ("short.csv", b"# x\nparams,tokens,loss\n24000000,500000000\n".to_vec(), "line 3 has 2 fields"),
        ("columns.json", b"{\"params\": {\"0\": 1}, \"loss\": {\"0\": 2}}".to_vec(), "one object for each row"),
        ("numbers.json", b"[1, 2]".to_vec(), "not one of JSON objects"),
        ("damaged.csv.gz", gzipped(plain().as_bytes())[..30].to_vec(), "damaged.csv.gz"),
        ("commas.csv", b"params;tokens;loss\n24000000;500000000;4,736\n".to_vec(), "write 4.736 or 4736"),
        ("share.csv", b"params,tokens,loss\n24%,500000000,4.7\n".to_vec(), "a percentage is not a count"),
        ("spaces.csv", b"params tokens loss\n1 2 3\n".to_vec(), "separate columns by commas"),
        ("wide.csv", b"params,0.5B,1B,2B\n24000000,4.7,4.3,4.1\n".to_vec(), "one row for each N and D"),
    ];
    for (name, bytes, words) in said {
        let message = refused(&folder.write(name, bytes));
        assert!(message.contains(words), "{name}: {message}");
    }
}

#[test]
fn a_comma_is_what_the_rest_of_the_table_says() {
    let folder = Folder::new();
    let loss =
        |name: &str, rows: &str| choose(&folder.write(name, format!("params;tokens;lr;loss\n{rows}"))).points[0].loss;
    assert_eq!(loss("comma.csv", "24000000;500000000;0,0003;4,736\n"), 4.736);
    assert_eq!(loss("point.csv", "24000000;500000000;0.0003;4,736\n"), 4736.0);
    assert_eq!(loss("thousands.csv", "24.000.000;500.000.000;0,0003;4,736\n"), 4.736);
    let both = folder
        .write("both.csv", "params;tokens;lr;loss\n24000000;500000000;0,0003;4,736\n24000000;500000000;0.0003;4,736\n");
    assert!(refused(&both).contains("may begin a fraction"));
}
