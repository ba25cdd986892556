//! What a program did to the files below a directory, call by call, as strace wrote it down.

use crate::strace::Tracing;
use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// One thing done to a file or a folder, by its path below the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Where there is none yet.
    CreateFile(PathBuf),
    CreateFolder(PathBuf),
    /// Bytes at an offset.
    Write(PathBuf, u64, Vec<u8>),
    SetLen(PathBuf, u64),
    /// Of a file or a folder.
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// Calls that change something and that are not understood here: a program that makes one cannot be judged.
const UNKNOWN: &[&str] = &[
    "writev",
    "pwritev",
    "pwritev2",
    "fallocate",
    "copy_file_range",
    "sendfile",
    "sync_file_range",
    "renameat2",
    "symlink",
    "truncate",
    "sync",
    "syncfs",
];
const KNOWN: &[&str] = &[
    "openat",
    "close",
    "write",
    "pwrite64",
    "ftruncate",
    "fsync",
    "fdatasync",
    "lseek",
    "mkdir",
    "rename",
    "renameat",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
];

/// Runs `program` to its end, which must be a good one, and returns what it did below `root`.
///
/// # Errors
/// When it fails, or does something that is not understood.
pub fn record(program: &Command, root: &Path, log: &Path) -> Result<Vec<Effect>> {
    let calls: Vec<_> = KNOWN.iter().chain(UNKNOWN).copied().collect();
    let mut command = Tracing::Everything { calls: &calls, log }.around(program);
    crate::process::succeed(&mut command)?;
    read(&fs::read_to_string(log).with_context(|| log.display().to_string())?, root)
}

fn read(log: &str, root: &Path) -> Result<Vec<Effect>> {
    let mut reader = Reader { root, open: HashMap::new(), effects: Vec::new() };
    // Where other threads' calls came in between, a call stands on two lines.
    let mut begun: HashMap<&str, &str> = HashMap::new();
    for line in log.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let joined;
        let call = if let Some(start) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, start);
            continue;
        } else if call.starts_with("<... ") {
            let (_, end) = call.split_once(" resumed>").context("a call that goes on with nothing")?;
            joined = format!("{}{end}", begun.remove(thread).context("a call that goes on and never began")?);
            &joined
        } else {
            call
        };
        let parsed = reader.call(call);
        parsed.with_context(|| format!("{}...", call.chars().take(300).collect::<String>()))?;
    }
    Ok(reader.effects)
}

struct Open {
    path: PathBuf,
    /// Where the next plain write goes.
    offset: u64,
    appends: bool,
}

struct Reader<'a> {
    root: &'a Path,
    /// By file descriptor: what is open below the root.
    open: HashMap<u32, Open>,
    effects: Vec<Effect>,
}

impl Reader<'_> {
    fn call(&mut self, call: &str) -> Result<()> {
        let Some((name, rest)) = call.split_once('(') else { return Ok(()) };
        let Some((args, result)) = rest.rsplit_once(" = ") else { return Ok(()) };
        let args = args.trim_end().trim_end_matches(')');
        let Ok(result) = result.split(['<', ' ']).next().unwrap_or_default().parse::<i64>() else {
            return Ok(());
        };
        if result < 0 {
            return Ok(());
        }
        let args: Vec<&str> = args.split(", ").collect();
        let arg = |n: usize| args.get(n).copied().with_context(|| format!("no argument {n}"));
        match name {
            "openat" => self.open(self.at(arg(0)?, arg(1)?)?, arg(2)?, u32::try_from(result)?)?,
            "close" => {
                self.open.remove(&descriptor(arg(0)?)?);
            }
            "lseek" => {
                if let Some(open) = self.open.get_mut(&descriptor(arg(0)?)?) {
                    open.offset = u64::try_from(result)?;
                }
            }
            "write" => {
                if let Some(open) = self.open.get_mut(&descriptor(arg(0)?)?) {
                    ensure!(!open.appends, "a file opened for appending");
                    let offset = open.offset;
                    open.offset += u64::try_from(result)?;
                    let bytes = text(arg(1)?)?[..usize::try_from(result)?].to_vec();
                    self.effects.push(Effect::Write(open.path.clone(), offset, bytes));
                }
            }
            "pwrite64" => {
                if let Some(open) = self.open.get(&descriptor(arg(0)?)?) {
                    let bytes = text(arg(1)?)?[..usize::try_from(result)?].to_vec();
                    self.effects.push(Effect::Write(open.path.clone(), arg(3)?.parse()?, bytes));
                }
            }
            "ftruncate" => {
                if let Some(open) = self.open.get(&descriptor(arg(0)?)?) {
                    self.effects.push(Effect::SetLen(open.path.clone(), arg(1)?.parse()?));
                }
            }
            "fsync" | "fdatasync" => {
                if let Some(open) = self.open.get(&descriptor(arg(0)?)?) {
                    self.effects.push(Effect::Sync(open.path.clone()));
                }
            }
            "mkdir" => self.named(&[arg(0)?], |paths| Effect::CreateFolder(paths[0].clone()))?,
            "rmdir" | "unlink" => self.named(&[arg(0)?], |paths| Effect::Remove(paths[0].clone()))?,
            "unlinkat" => {
                if let Some(path) = self.at(arg(0)?, arg(1)?)? {
                    self.effects.push(Effect::Remove(path));
                }
            }
            "rename" => self.rename(arg(0)?, arg(1)?)?,
            "link" => self.named(&[arg(0)?, arg(1)?], |p| Effect::Link(p[0].clone(), p[1].clone()))?,
            "linkat" => {
                let (from, to) = (self.at(arg(0)?, arg(1)?)?, self.at(arg(2)?, arg(3)?)?);
                if let (Some(from), Some(to)) = (from, to) {
                    self.effects.push(Effect::Link(from, to));
                }
            }
            _ => ensure!(!call.contains(&hex(self.root)), "a call that is not understood"),
        }
        Ok(())
    }

    fn open(&mut self, path: Option<PathBuf>, flags: &str, descriptor: u32) -> Result<()> {
        let Some(path) = path else { return Ok(()) };
        let has = |flag| flags.split('|').any(|one| one == flag);
        ensure!(!has("O_TRUNC"), "a file emptied by its opening");
        if has("O_CREAT") {
            self.effects.push(Effect::CreateFile(path.clone()));
        }
        self.open.insert(descriptor, Open { path, offset: 0, appends: has("O_APPEND") });
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let (Some(from), Some(to)) = (self.below(&path(from)?)?, self.below(&path(to)?)?) else {
            return Ok(());
        };
        for open in self.open.values_mut() {
            if let Ok(rest) = open.path.strip_prefix(&from) {
                open.path = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
            }
        }
        self.effects.push(Effect::Rename(from, to));
        Ok(())
    }

    /// The effect of a call that names files, if they are below the root.
    fn named(&mut self, names: &[&str], effect: impl Fn(&[PathBuf]) -> Effect) -> Result<()> {
        let paths = names.iter().map(|name| self.below(&path(name)?)).collect::<Result<Option<Vec<_>>>>()?;
        self.effects.extend(paths.map(|paths| effect(&paths)));
        Ok(())
    }

    /// What a name in an open folder means.
    fn at(&self, folder: &str, name: &str) -> Result<Option<PathBuf>> {
        let name = path(name)?;
        if name.is_absolute() || folder.starts_with("AT_FDCWD") {
            return self.below(&name);
        }
        Ok(self.open.get(&descriptor(folder)?).map(|open| open.path.join(name)))
    }

    /// The path below the root; nothing of what lies elsewhere.
    fn below(&self, path: &Path) -> Result<Option<PathBuf>> {
        ensure!(path.is_absolute(), "a path that is not absolute: {}", path.display());
        ensure!(!path.components().any(|part| part == Component::ParentDir), "a path that goes up");
        Ok(path.strip_prefix(self.root).ok().map(Path::to_owned))
    }
}

fn descriptor(arg: &str) -> Result<u32> {
    Ok(arg.split('<').next().unwrap_or_default().parse()?)
}

fn path(arg: &str) -> Result<PathBuf> {
    Ok(PathBuf::from(String::from_utf8(text(arg)?)?))
}

/// A string as strace's `-xx` writes it.
fn text(arg: &str) -> Result<Vec<u8>> {
    let digits = arg.strip_prefix('"').and_then(|arg| arg.strip_suffix('"')).context("no whole string")?;
    let bytes = digits.split("\\x").skip(1);
    bytes.map(|digits| Ok(u8::from_str_radix(digits, 16)?)).collect()
}

fn hex(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes.fold(String::new(), |text, byte| format!("{text}\\x{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_become_effects() {
        let root = Path::new("/r");
        let x = |text: &str| hex(Path::new(text));
        let (a, b, out, fd) = (x("/r/a"), x("/r/b"), x("/elsewhere"), x("/r"));
        let log = [
            format!("1  openat(AT_FDCWD<{fd}>, \"{a}\", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 3<{a}>"),
            format!("1  openat(AT_FDCWD<{fd}>, \"{out}\", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 4<{out}>"),
            format!("1  write(3<{a}>, \"{}\", 2) = 2", x("hi")),
            format!("2  write(4<{out}>, \"{}\", 2) = 2", x("hi")),
            format!("1  write(3<{a}>, \"{}\", 1 <unfinished ...>", x("!")),
            format!("2  mkdir(\"{b}\", 0777) = 0"),
            "1  <... write resumed>) = 1".to_owned(),
            format!("1  rename(\"{a}\", \"{b}/c\") = -1 ENOENT (No such file or directory)"),
            format!("1  rename(\"{a}\", \"{}\") = 0", x("/r/b/c")),
            format!("1  fdatasync(3<{a}>) = 0"),
            format!("1  openat(AT_FDCWD<{fd}>, \"{b}\", O_RDONLY|O_DIRECTORY) = 5<{b}>"),
            format!("1  unlinkat(5<{b}>, \"{}\", 0) = 0", x("c")),
        ];
        let (a, c) = (PathBuf::from("a"), PathBuf::from("b/c"));
        let expected = [
            Effect::CreateFile(a.clone()),
            Effect::Write(a.clone(), 0, b"hi".to_vec()),
            Effect::CreateFolder("b".into()),
            Effect::Write(a.clone(), 2, b"!".to_vec()),
            Effect::Rename(a, c.clone()),
            Effect::Sync(c.clone()),
            Effect::Remove(c),
        ];
        assert_eq!(read(&log.join("\n"), root).unwrap(), expected);
        assert!(read(&format!("1  truncate(\"{}\", 0) = 0", x("/r/a")), root).is_err());
    }
}
