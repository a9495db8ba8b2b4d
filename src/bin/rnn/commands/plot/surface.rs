//! A file or the terminal as the place of a picture.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Result;
use elman::files::{Overwrite, Sink};

use crate::args::Plot;
use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::plot::{Colors, Figure, Terminal, png, svg};
use crate::report::print;

/// The size of a picture for one row of panels, the height of each further row, and the most of it.
const WIDTH: u32 = 1000;
const HEIGHT: u32 = 420;
const MORE: u32 = 240;
/// Most cells of a heat map in an .svg, in which each run of a colour is a rectangle.
const SVG_LIMIT: [usize; 2] = [64, 128];
/// Where the picture goes.
pub(super) enum Surface<'a> {
    /// A file, as pixels or as SVG, and its size if it is typed.
    Png(&'a Path, Option<[u32; 2]>, Overwrite),
    Svg(&'a Path, Option<[u32; 2]>, Overwrite),
    Terminal(Terminal),
}

impl<'a> Surface<'a> {
    pub(super) fn new(args: &'a Plot) -> Result<Self> {
        let overwrite = if args.no_clobber { Overwrite::Refuse } else { Overwrite::Replace };
        let Some(path) = &args.output else {
            if !std::io::stdout().is_terminal() {
                let message = "expected -o with a .png or .svg, or a terminal, got neither";
                return Err(with_hint(Usage(message.to_owned()), hint::set("-o", "picture.png")));
            }
            let (columns, lines) = terminal_size();
            return Ok(Surface::Terminal(Terminal {
                colors: Colors::of_environment(),
                columns,
                lines,
            }));
        };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("png") => Ok(Surface::Png(path, args.size, overwrite)),
            Some("svg") => Ok(Surface::Svg(path, args.size, overwrite)),
            _ => {
                let message = format!("{}: expected a file name in .png or .svg", path.display());
                Err(with_hint(Usage(message), hint::set("-o", "picture.png")))
            }
        }
    }

    /// The cells that one heat map has room for.
    pub(super) fn limit(&self, rows: usize, columns: usize) -> [usize; 2] {
        match self {
            Surface::Terminal(terminal) => terminal.limit(rows, columns),
            Surface::Svg(..) => SVG_LIMIT,
            Surface::Png(_, size, _) => {
                let [width, height] =
                    size.unwrap_or_else(|| default_size(rows)).map(|size| size as usize);
                [
                    (height / rows.max(1)).saturating_sub(70).max(24),
                    (width / columns.max(1)).saturating_sub(90).max(24),
                ]
            }
        }
    }

    pub(super) fn show(&self, figure: &Figure) -> Result<()> {
        let size = |size: &Option<[u32; 2]>| size.unwrap_or_else(|| default_size(figure.rows()));
        let (path, bytes, overwrite) = match self {
            Surface::Terminal(terminal) => return print(&terminal.draw(figure), false),
            Surface::Png(path, typed, overwrite) => (path, png(figure, size(typed))?, overwrite),
            Surface::Svg(path, typed, overwrite) => (path, svg(figure, size(typed))?, overwrite),
        };
        let mut sink = Sink::open(path, *overwrite)?;
        sink.write(|file| file.write_all(&bytes))?;
        Ok(sink.commit()?)
    }
}

fn default_size(rows: usize) -> [u32; 2] {
    let more = u32::try_from(rows.saturating_sub(1)).unwrap_or(0);
    [WIDTH, HEIGHT + more.min(7) * MORE]
}

/// Columns and lines of the terminal.
fn terminal_size() -> (usize, usize) {
    #[cfg(target_os = "linux")]
    if let Ok(size) = rustix::termios::tcgetwinsize(std::io::stdout())
        && size.ws_col > 0
        && size.ws_row > 0
    {
        return (usize::from(size.ws_col), usize::from(size.ws_row));
    }
    (80, 24)
}
