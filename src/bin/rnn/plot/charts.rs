//! The content of a pair of axes, and the scale of colours.

use std::ops::Range;

use super::axis::{ticks, word};
use super::color::{self, CURVES, INFINITE, NAN, Rgb};
use super::figure::{Heat, Lines, Scale};
use super::paper::Anchor;
use super::picture::{Edges, INK, LEAST, LINE, Pen, SMALL, len};

/// The radius of a point, and the width of a curve.
const POINT: f32 = 3.5;
const STROKE: f32 = 1.7;
/// Pixels from one tick to the next, at least: along a row of words, and down a column of them.
const ACROSS: i32 = 66;
const DOWN: i32 = 36;
/// Most ticks of the scale of colours.
const MAX_TICKS: usize = 11;

/// The part of a vertical axis above and below all curves.
const MARGIN: f64 = 0.03;

const FAINT: Rgb = [205, 205, 205];

impl Pen<'_> {
    pub(super) fn heat(&mut self, heat: &Heat, scale: Scale, edges: Edges) {
        let [x0, y0, x1, y1] = edges;
        let [rows, columns] = heat.size;
        let across = |at: usize| place(at as f64, columns as f64, x0..x1);
        let down = |at: usize| place(at as f64, rows as f64, y0..y1);
        for (row, cells) in heat.cells.rows().into_iter().enumerate() {
            let [upper, lower] = heat.span(0, row).map(down);
            let colors: Vec<_> = cells.iter().map(|&x| color::of(scale, x)).collect();
            let mut first = 0;
            // One rectangle for each run of one colour.
            for same in colors.chunk_by(|a, b| a == b) {
                let last = first + same.len() - 1;
                let [start, end] = [heat.span(1, first)[0], heat.span(1, last)[1]].map(across);
                self.paper.rect([start, upper, end, lower], same[0]);
                first = last + 1;
            }
        }
        self.frame(edges);
        // A cell is named at its middle.
        for tick in ticks([0.0, columns as f64 - 1.0], count((x1 - x0) / ACROSS), true) {
            self.x_tick(tick, place(tick + 0.5, columns as f64, x0..x1), y1);
        }
        for tick in ticks([0.0, rows as f64 - 1.0], count((y1 - y0) / 24), true) {
            self.y_tick(tick, x0, place(tick + 0.5, rows as f64, y0..y1));
        }
    }

    pub(super) fn lines(&mut self, lines: &Lines, edges: Edges) {
        let [x0, y0, x1, y1] = edges;
        // Curves stay off the frame.
        let margin = MARGIN * (lines.range[1] - lines.range[0]);
        let (low, high) = (lines.range[0] - margin, lines.range[1] + margin);
        let last = lines.count as f64 - 1.0;
        // A single step is in the middle.
        let (first, width) = if last > 0.0 { (0.0, last) } else { (0.5, 1.0) };
        let across = |step: f64| place(step + first, width, x0..x1);
        let down = |y: f64| place(high - y, high - low, y0..y1);
        for tick in ticks(lines.range, count((y1 - y0) / DOWN), false) {
            self.path(&[(x0, down(tick)), (x1, down(tick))], FAINT, 1.0);
            self.y_tick(tick, x0, down(tick));
        }
        for tick in ticks([0.0, last.max(0.0)], count((x1 - x0) / ACROSS), true) {
            self.x_tick(tick, across(tick), y1);
        }
        for (curve, color) in lines.curves.iter().zip(CURVES.iter().cycle()) {
            for part in curve.points.chunk_by(|a, b| a.1.is_finite() && b.1.is_finite()) {
                let points: Vec<_> =
                    part.iter().map(|&(step, y)| (across(step), down(y))).collect();
                match (part, &points[..]) {
                    ([(step, y)], _) if !y.is_finite() => {
                        // A tick at the lower edge.
                        let (x, color) = (across(*step), if y.is_nan() { NAN } else { INFINITE });
                        self.paper.rect([x - 1, y1 - 8, x + 1, y1], color);
                    }
                    (_, &[point]) => self.point(point, *color),
                    _ => self.path(&points, *color, STROKE),
                }
            }
        }
        self.frame(edges);
    }

    /// The names of curves right of a panel; returns the width that they take.
    pub(super) fn legend(&mut self, lines: &Lines, [right, top]: [i32; 2], bottom: i32) -> i32 {
        let room = count((bottom - top) / LINE);
        let widest = lines.curves.iter().map(|curve| self.width(&curve.name, SMALL)).max();
        let width = widest.unwrap_or(0).min(200) + 42;
        let rows = (0..).zip(&lines.curves).zip(CURVES.iter().cycle()).take(room);
        for ((row, curve), color) in rows {
            let (x, y) = (right - width + 14, top + LINE * row);
            self.path(&[(x, y + 8), (x + 18, y + 8)], *color, 3.0);
            let name = self.shortened(&curve.name, width - 36);
            self.text(&name, [x + 24, y], SMALL, Anchor::Start);
        }
        width
    }

    /// The complex plane in a square: it shows the unit circle and all points.
    #[allow(clippy::cast_possible_truncation, reason = "pixels of a picture")]
    pub(super) fn plane(&mut self, points: &[(f64, f64)], edges: Edges) {
        let most = points.iter().fold(1.0_f64, |most, (re, im)| most.max(re.abs()).max(im.abs()));
        let [left, upper, right, _] = edges;
        let (half, side) = (1.1 * most, right - left);
        let across = |re: f64| place(re + half, 2.0 * half, left..left + side);
        let down = |im: f64| place(half - im, 2.0 * half, upper..upper + side);
        for tick in ticks([-half, half], count(side / ACROSS), false) {
            self.path(&[(left, down(tick)), (left + side, down(tick))], FAINT, 1.0);
            self.path(&[(across(tick), upper), (across(tick), upper + side)], FAINT, 1.0);
            self.x_tick(tick, across(tick), upper + side);
            self.y_tick(tick, left, down(tick));
        }
        let radius = side as f32 / (2.0 * half as f32);
        let middle = [left, upper].map(|edge| edge as f32 + side as f32 / 2.0);
        let circle = (0..=180).map(|i| (i as f32 * std::f32::consts::PI / 90.0).sin_cos());
        let circle: Vec<_> =
            circle.map(|(sin, cos)| [middle[0] + radius * cos, middle[1] + radius * sin]).collect();
        self.paper.path(&circle, INK, 1.0);
        for &(re, im) in points {
            self.point((across(re), down(im)), CURVES[0]);
        }
        self.frame(edges);
    }

    /// The colours with their numbers, and those of NaN and infinity if they occur.
    pub(super) fn scale(&mut self, scale: Scale, odd: [bool; 2], [x0, y0, x1, y1]: Edges) {
        let (Scale { low, high }, names) = (scale, [(NAN, "NaN"), (INFINITE, "inf")]);
        let odd: Vec<_> =
            names.into_iter().zip(odd).filter_map(|(name, is)| is.then_some(name)).collect();
        let y1 = (y1 - (LINE + 6) * len(&odd)).max(y0 + LEAST);
        for y in y0..y1 {
            let number = high - (high - low) * f64::from(y - y0) / f64::from(y1 - y0);
            self.paper.rect([x0, y, x1, y + 1], color::of(scale, number));
        }
        self.frame([x0, y0, x1, y1]);
        for tick in ticks([low, high], count((y1 - y0) / DOWN).min(MAX_TICKS), false) {
            let y = place(high - tick, high - low, y0..y1);
            self.path(&[(x1, y), (x1 + 4, y)], INK, 1.0);
            self.text(&word(tick), [x1 + 7, y - 7], SMALL, Anchor::Start);
        }
        for (row, (color, name)) in (0..).zip(odd) {
            let y = y1 + 8 + (LINE + 6) * row;
            self.paper.rect([x0, y, x1, y + LINE - 4], color);
            self.text(name, [x1 + 7, y], SMALL, Anchor::Start);
        }
    }

    fn point(&mut self, (x, y): (i32, i32), color: Rgb) {
        self.paper.disc([x as f32, y as f32], POINT, color);
    }

    fn frame(&mut self, [x0, y0, x1, y1]: Edges) {
        self.path(&[(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], INK, 1.0);
    }

    fn x_tick(&mut self, tick: f64, x: i32, bottom: i32) {
        self.path(&[(x, bottom), (x, bottom + 4)], INK, 1.0);
        self.text(&word(tick), [x, bottom + 6], SMALL, Anchor::Middle);
    }

    fn y_tick(&mut self, tick: f64, left: i32, y: i32) {
        self.path(&[(left - 4, y), (left, y)], INK, 1.0);
        self.text(&word(tick), [left - 7, y - 7], SMALL, Anchor::End);
    }
}

fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0).max(1)
}

/// The pixel of a part of a whole.
#[allow(clippy::cast_possible_truncation, reason = "within a picture")]
fn place(part: f64, whole: f64, range: Range<i32>) -> i32 {
    range.start + (part / whole * f64::from(range.end - range.start)).round() as i32
}
