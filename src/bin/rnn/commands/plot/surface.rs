//! A file or the terminal as the place of a picture.

use std::io::IsTerminal;

use anyhow::Result;
use elman::files::{Overwrite, Sink, is_standard_output};

use crate::args::Plot;
use crate::explain::hint;
use crate::failure::{Usage, with_hint};
use crate::pipeline::output_path::{refuse_terminal, shown};
use crate::plot::{Colors, Figure, Terminal, png, svg};
use crate::report::print;

/// The size of a picture for one row of panels, the height of each further row, and the most of it.
const WIDTH: u32 = 1000;
const HEIGHT: u32 = 420;
const MORE: u32 = 240;
/// Most cells of a heat map in an .svg, in which each run of a colour is a rectangle.
const SVG_LIMIT: [usize; 2] = [64, 128];
/// The place of a picture.
pub(super) enum Surface {
    /// A file, as pixels or as SVG, and its size if it is typed.
    Png(Sink, Option<[u32; 2]>),
    Svg(Sink, Option<[u32; 2]>),
    Terminal(Terminal),
}

impl Surface {
    /// Opens the file, so that one that cannot be written is reported before a picture is computed.
    pub(super) fn new(args: &Plot) -> Result<Self> {
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
        let remedy = || hint::set("-o", "picture.png");
        let surface = match path.extension().and_then(|extension| extension.to_str()) {
            _ if is_standard_output(path) => {
                refuse_terminal(remedy)?;
                Surface::Png
            }
            Some("png") => Surface::Png,
            Some("svg") => Surface::Svg,
            _ => {
                let message = format!("{}: expected a file name in .png or .svg", shown(path));
                return Err(with_hint(Usage(message), remedy()));
            }
        };
        let overwrite = if args.no_clobber { Overwrite::Refuse } else { Overwrite::Replace };
        Ok(surface(Sink::open(path, overwrite)?, args.size))
    }

    /// The cells that one heat map has room for.
    pub(super) fn limit(&self, rows: usize, columns: usize) -> [usize; 2] {
        match self {
            Surface::Terminal(terminal) => terminal.limit(rows, columns),
            Surface::Svg(..) => SVG_LIMIT,
            Surface::Png(_, size) => {
                let [width, height] =
                    size.unwrap_or_else(|| default_size(rows)).map(|size| size as usize);
                [
                    (height / rows.max(1)).saturating_sub(70).max(24),
                    (width / columns.max(1)).saturating_sub(90).max(24),
                ]
            }
        }
    }

    pub(super) fn show(self, figure: &Figure) -> Result<()> {
        let size = |size: Option<[u32; 2]>| size.unwrap_or_else(|| default_size(figure.rows()));
        let (mut sink, bytes) = match self {
            Surface::Terminal(terminal) => return print(&terminal.draw(figure), false),
            Surface::Png(sink, typed) => (sink, png(figure, size(typed))?),
            Surface::Svg(sink, typed) => (sink, svg(figure, size(typed))?),
        };
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
