//! `rnn diff`: two tensors, or two bundles of them, compared.

use anyhow::Result;
use elman::files::Source;

use crate::args::{Diff, ReportForm};
use crate::diff::{find, open};
use crate::failure::{Different, Usage};
use crate::pipeline::table::check_table;
use crate::progress;
use crate::report::{print, print_json};

pub(crate) fn diff(args: &Diff) -> Result<()> {
    if args.a == "-" && args.b == "-" {
        let message = "expected one input from stdin, got - for both".to_owned();
        return Err(Usage(message).into());
    }
    let sources = [&args.a, &args.b].map(|text| Source::parse(text));
    let columns = args.table.columns();
    let options = args.table.options(&columns);
    let [a, b] = [open(&sources[0], &options)?, open(&sources[1], &options)?];
    check_table(&args.table.flags(), [&a, &b], &sources[1].to_string())?;
    let bar = progress::reading([&a, &b]);
    let findings = find(a, b, sources.map(|source| source.to_string()), args)?;
    drop(bar);
    match args.report {
        _ if args.quiet => {}
        ReportForm::None => {}
        ReportForm::Text => print(&findings.text(), false)?,
        ReportForm::Json => print_json(&findings)?,
    }
    if findings.equal { Ok(()) } else { Err(Different.into()) }
}
