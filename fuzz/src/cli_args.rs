//! The command line: whatever is typed, it is understood or refused, and the same way each time.

use std::ffi::OsString;

use clap::Parser;

use super::binary::args::Args;

pub fn run(data: &[u8]) {
    // Words as a shell would give them: without NUL, of any other bytes.
    let words = || data.split(|&byte| byte == 0).map(word);
    let parse = || Args::try_parse_from([OsString::from("rnn")].into_iter().chain(words()));
    match parse() {
        // `--seed random` draws another seed each time.
        Ok(_) if words().any(|word| word == "random" || word == "--seed=random") => {
            assert!(parse().is_ok());
        }
        Ok(args) => assert_eq!(format!("{args:?}"), format!("{:?}", parse().unwrap())),
        Err(error) => {
            let text = error.render().to_string();
            // Help and versions go to stdout with code 0, everything else is wrong usage.
            assert!(matches!(error.exit_code(), 0 | 2) && !text.is_empty());
            assert_eq!(text, parse().unwrap_err().render().to_string());
        }
    }
}

#[cfg(unix)]
fn word(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn word(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}
