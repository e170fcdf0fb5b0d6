//! The gallery of `templates/`, built in, so that the binary has it anywhere. In: a name. Out: a template, or a
//! request. The table is held in step by a test, which writes it when told to bless.

mod table;

use super::case::{self, Request};
use super::output::Failure;
use table::GALLERY;

/// A folder of the gallery.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) name: &'static str,
    pub(super) template: &'static str,
    pub(super) cases: &'static [Case],
}

/// A request of the gallery.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    text: &'static str,
    /// Whether its template makes an event of it.
    pub(super) is_event: bool,
}

impl Folder {
    /// A case that shows the template at work.
    pub(super) fn first_event(&self) -> &'static str {
        let mut cases = self.cases.iter().filter(|case| case.is_event);
        let first = cases.clone().find(|case| case.name == "push").or_else(|| cases.next());
        first.map_or("", |case| case.name)
    }
}

const fn event(name: &'static str, text: &'static str) -> Case {
    Case { name, text, is_event: true }
}

const fn fault(name: &'static str, text: &'static str) -> Case {
    Case { name, text, is_event: false }
}

/// Every folder.
pub(super) fn folders() -> &'static [Folder] {
    GALLERY
}

/// The folder of a name.
pub(super) fn find(name: &str) -> Result<&'static Folder, Failure> {
    GALLERY.iter().find(|folder| folder.name == name).ok_or_else(|| {
        let names = GALLERY.iter().map(|folder| folder.name);
        Failure::NotFound(format!("the gallery has no template '{name}'; {}", meant(name, names)))
    })
}

/// The request of a name such as `github/push`.
pub(super) fn sample(name: &str) -> Result<Request, Failure> {
    let (folder, case) = name.split_once('/').unwrap_or((name, ""));
    let folder = find(folder)?;
    let found = folder.cases.iter().find(|known| known.name == case);
    let found = found.ok_or_else(|| {
        let names = folder.cases.iter().map(|case| case.name);
        let (folder, meant) = (folder.name, meant(case, names));
        Failure::NotFound(format!("{folder} has no sample '{case}'; {meant}"))
    })?;
    case::parse(name, found.text).map_err(|fault| Failure::No(fault.to_string()))
}

/// The nearest name, or all of them.
fn meant(name: &str, names: impl Iterator<Item = &'static str> + Clone) -> String {
    let near = names.clone().map(|known| (strsim::osa_distance(name, known), known)).min();
    match near {
        Some((distance, known)) if distance <= 2 => format!("did you mean '{known}'?"),
        _ => format!("there are {}", names.collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The names in a folder, sorted.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder of the gallery");
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("text");
        let mut names: Vec<_> = entries.map(|entry| name(entry.expect("an entry"))).collect();
        names.sort();
        names
    }

    fn written() -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut out = String::from(
            "//! Every template and request of `templates/`, as a table. Written by the test of this folder; decides \
             nothing.\n\n\
             use super::{Folder, event, fault};\n\n\
             macro_rules! built_in {\n    ($path:literal) => {\n        \
             include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/templates/\", $path))\n    };\n}\n\n\
             #[rustfmt::skip]\npub(super) const GALLERY: &[Folder] = &[\n",
        );
        for name in names(&root).iter().filter(|name| root.join(name).join("cases").is_dir()) {
            let _ = writeln!(
                out,
                "    Folder {{ name: \"{name}\", template: built_in!(\"{name}/template.j2\"), cases: &["
            );
            for file in names(&root.join(name).join("cases")) {
                if let Some(case) = file.strip_suffix(".request.json") {
                    let path = format!("{name}/cases/{file}");
                    let event = root.join(name).join(format!("cases/{case}.event.json"));
                    let sort = if event.exists() { "event" } else { "fault" };
                    let _ = writeln!(out, "        {sort}(\"{case}\", built_in!(\"{path}\")),");
                }
            }
            out.push_str("    ] },\n");
        }
        out + "];\n"
    }

    #[test]
    fn the_table_is_the_folder() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/gallery/table.rs");
        let table = written();
        if std::env::var_os("HOOKGATE_BLESS").is_some() {
            fs::write(&path, &table).expect("the table is written");
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == table, "templates/ has changed: HOOKGATE_BLESS=1 writes the table anew");
    }

    #[test]
    fn each_sample_reads_and_a_wrong_name_has_a_way_out() {
        for folder in GALLERY {
            assert!(!folder.first_event().is_empty(), "{}", folder.name);
            for case in folder.cases {
                sample(&format!("{}/{}", folder.name, case.name)).expect(case.name);
            }
        }
        for (name, says) in [
            ("githb/push", "did you mean 'github'?"),
            ("github/psh", "did you mean 'push'?"),
            ("github", "there are advisory-published,"),
        ] {
            let fault = sample(name).expect_err(name).to_string();
            assert!(fault.contains(says), "{fault}");
        }
    }
}
