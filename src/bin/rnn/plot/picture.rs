//! A figure as pixels or as SVG: the places of its panels and words.

use std::ops::Range;

use ab_glyph::FontRef;
use anyhow::Result;

use super::color::Rgb;
use super::figure::{Content, Figure, Panel, Scale};
use super::paper::{Anchor, Paper, advance, font};
use super::pixels::Pixels;
use super::svg::Svg;
use crate::failure::Usage;

/// Sizes of letters, and of lines of text.
const LARGE: f32 = 19.0;
pub(super) const SMALL: f32 = 14.0;
pub(super) const LINE: i32 = 18;
/// The margin of the picture.
const MARGIN: i32 = 10;
/// Columns of the scale of colours and its numbers.
const SCALE_WIDTH: i32 = 100;
/// Space around the axes of a panel: left, right, above, below.
const LEFT: i32 = 66;
const RIGHT: i32 = 14;
const ABOVE: i32 = 24;
const BELOW: i32 = 42;
/// The least width and height of a pair of axes.
pub(super) const LEAST: i32 = 24;

pub(super) const INK: Rgb = [34, 34, 34];

/// The bytes of a picture as .png.
pub(crate) fn png(figure: &Figure, size: [u32; 2]) -> Result<Vec<u8>> {
    let mut pixels = Pixels::new(size)?;
    draw(&mut pixels, size, figure)?;
    pixels.encode()
}

/// The text of a picture as .svg.
pub(crate) fn svg(figure: &Figure, size: [u32; 2]) -> Result<Vec<u8>> {
    let mut svg = Svg::new(size);
    draw(&mut svg, size, figure)?;
    Ok(svg.finish())
}

fn draw(paper: &mut dyn Paper, size: [u32; 2], figure: &Figure) -> Result<()> {
    let mut pen = Pen { paper, font: font()? };
    let [width, height] = size.map(u32::cast_signed);
    pen.paper.rect([0, 0, width, height], [255; 3]);
    let mut top = MARGIN;
    for (i, line) in figure.title.iter().enumerate() {
        let size = if i == 0 { LARGE } else { SMALL };
        for line in pen.wrapped(line, size, width - 2 * MARGIN) {
            pen.text(&line, [MARGIN, top], size, Anchor::Start);
            top += if i == 0 { LINE + 6 } else { LINE };
        }
    }
    let notes = figure.notes(["a black mark", "a magenta mark"]).into_iter();
    let notes = notes.flat_map(|note| pen.wrapped(&note, SMALL, width - 2 * MARGIN));
    let notes: Vec<_> = notes.collect();
    let bottom = height - MARGIN - LINE * len(&notes);
    for (line, note) in (0..).zip(&notes) {
        pen.text(note, [MARGIN, bottom + LINE * line], SMALL, Anchor::Start);
    }
    let (bottom, scale) = (bottom - 4, if figure.scale.is_some() { SCALE_WIDTH } else { 0 });
    let right = width - MARGIN - scale;
    pen.panels(figure, [MARGIN, top, right, bottom])?;
    if let Some(scale) = figure.scale {
        pen.scale(scale, figure.odd(), [right + 16, top + ABOVE, right + 34, bottom - BELOW]);
    }
    Ok(())
}

pub(super) fn len<T>(things: &[T]) -> i32 {
    i32::try_from(things.len()).unwrap_or(i32::MAX)
}

/// A surface and its font, with the shapes that a figure needs.
pub(super) struct Pen<'a> {
    pub(super) paper: &'a mut dyn Paper,
    font: FontRef<'static>,
}

pub(super) type Edges = [i32; 4];

impl Pen<'_> {
    pub(super) fn path(&mut self, points: &[(i32, i32)], color: Rgb, width: f32) {
        let points: Vec<_> = points.iter().map(|&(x, y)| [x as f32, y as f32]).collect();
        self.paper.path(&points, color, width);
    }

    /// A text below the upper edge of its line.
    pub(super) fn text(&mut self, text: &str, [x, y]: [i32; 2], size: f32, anchor: Anchor) {
        self.paper.text(text, [x as f32, (y as f32 + 0.85 * size).round()], size, anchor, INK);
    }

    #[allow(clippy::cast_possible_truncation, reason = "within a picture")]
    pub(super) fn width(&self, text: &str, size: f32) -> i32 {
        advance(&self.font, text, size).ceil() as i32
    }

    /// The words of a text in lines of this width.
    fn wrapped(&self, text: &str, size: f32, width: i32) -> Vec<String> {
        let mut lines = vec![String::new()];
        for word in text.split(' ') {
            let line = lines.last().map(String::as_str).unwrap_or_default();
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if line.is_empty() || self.width(&longer, size) <= width {
                lines.pop();
                lines.push(longer);
            } else {
                lines.push(word.to_owned());
            }
        }
        lines
    }

    /// A text, or its beginning with dots if it is wider than this.
    pub(super) fn shortened(&self, text: &str, width: i32) -> String {
        let count = text.chars().count();
        let part = |kept: usize| -> String {
            let dots = if kept < count { "…" } else { "" };
            text.chars().take(kept).chain(dots.chars()).collect()
        };
        (0..=count).rev().map(part).find(|own| self.width(own, SMALL) <= width).unwrap_or_default()
    }

    fn panels(&mut self, figure: &Figure, [left, top, right, bottom]: Edges) -> Result<()> {
        let columns = figure.columns.min(figure.panels.len()).max(1);
        let rows = figure.panels.len().div_ceil(columns).max(1);
        let edge = |range: Range<i32>, part: usize, of: usize| {
            let (part, of) = (i32::try_from(part).unwrap_or(0), i32::try_from(of).unwrap_or(1));
            range.start + (range.end - range.start) * part / of
        };
        for (i, panel) in figure.panels.iter().enumerate() {
            let (row, column) = (i / columns, i % columns);
            let [x0, x1] = [column, column + 1].map(|part| edge(left..right, part, columns));
            let [y0, y1] = [row, row + 1].map(|part| edge(top..bottom, part, rows));
            self.panel(panel, figure.scale, [x0, y0, x1, y1])?;
        }
        Ok(())
    }

    fn panel(
        &mut self,
        panel: &Panel,
        scale: Option<Scale>,
        [left, top, right, bottom]: Edges,
    ) -> Result<()> {
        let mut edges = [left + LEFT, top + ABOVE, right - RIGHT, bottom - BELOW];
        if let Content::Lines(lines) = &panel.content {
            edges[2] -= self.legend(lines, [edges[2], edges[1]], edges[3]);
        }
        if let (Content::Plane(_), [x0, y0, x1, y1]) = (&panel.content, edges) {
            let side = (x1 - x0).min(y1 - y0);
            let (left, upper) = (i32::midpoint(x0, x1 - side), i32::midpoint(y0, y1 - side));
            edges = [left, upper, left + side, upper + side];
        }
        let [x0, y0, x1, y1] = edges;
        if x1 - x0 < LEAST || y1 - y0 < LEAST {
            let message = "--size: expected a larger picture, with room for each panel";
            return Err(Usage(message.to_owned()).into());
        }
        let title = self.shortened(&panel.title, right - RIGHT - x0);
        self.text(&title, [x0, y0 - ABOVE + 4], SMALL, Anchor::Start);
        self.text(panel.x_label, [i32::midpoint(x0, x1), y1 + 22], SMALL, Anchor::Middle);
        let middle = [(x0 - LEFT) as f32 + SMALL, i32::midpoint(y0, y1) as f32];
        self.paper.text(panel.y_label, middle, SMALL, Anchor::Upwards, INK);
        match (&panel.content, scale) {
            (Content::Heat(heat), Some(scale)) => self.heat(heat, scale, edges),
            (Content::Heat(_), None) => {}
            (Content::Lines(lines), _) => self.lines(lines, edges),
            (Content::Plane(points), _) => self.plane(points, edges),
        }
        Ok(())
    }
}
