//! Pixels: shapes with smooth edges, and letters from the embedded font. A point is the middle of a pixel.

use std::ops::Range;

use ab_glyph::{Font, FontRef, ScaleFont, point};
use anyhow::Result;
use elman::OutOfMemory;

use super::color::Rgb;
use super::paper::{Anchor, Paper, advance, font};

/// A picture of pixels.
pub(super) struct Pixels {
    width: usize,
    height: usize,
    /// (height, width, 3).
    rgb: Vec<u8>,
    font: FontRef<'static>,
}

impl Pixels {
    /// A white picture.
    pub(super) fn new(size: [u32; 2]) -> Result<Self> {
        let [width, height] = size.map(|size| size as usize);
        let (mut rgb, bytes) = (Vec::new(), 3 * width * height);
        rgb.try_reserve_exact(bytes).map_err(|_| OutOfMemory { what: "a picture", bytes })?;
        rgb.resize(bytes, 255);
        Ok(Pixels { width, height, rgb, font: font()? })
    }

    /// The bytes of a .png.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let [width, height] = [self.width, self.height].map(u32::try_from);
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width?, height?);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::Balanced);
        encoder.write_header()?.write_image_data(&self.rgb)?;
        Ok(bytes)
    }

    /// Columns and rows of the pixels within `reach` of these points.
    fn around(&self, points: &[[f32; 2]], reach: f32) -> [Range<usize>; 2] {
        let edges = |axis: usize| points.iter().map(move |at| at[axis]);
        let range = |axis: usize, most: usize| {
            let low = edges(axis).fold(f32::INFINITY, f32::min) - reach;
            let high = edges(axis).fold(f32::NEG_INFINITY, f32::max) + reach;
            whole(low.ceil()).min(most)..whole(high.floor() + 1.0).min(most)
        };
        [range(0, self.width), range(1, self.height)]
    }

    /// Mixes a colour into a pixel of the picture: all of it for a coverage of 255.
    fn blend(&mut self, [x, y]: [usize; 2], color: Rgb, coverage: u8) {
        if x >= self.width || y >= self.height {
            return;
        }
        let first = 3 * (y * self.width + x);
        for (own, new) in self.rgb[first..first + 3].iter_mut().zip(color) {
            let share = f32::from(coverage) / 255.0;
            *own = byte(f32::from(*own) + share * (f32::from(new) - f32::from(*own)));
        }
    }
}

/// A place in a picture; 0 left of it or above.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within a picture")]
fn whole(number: f32) -> usize {
    number.floor().max(0.0) as usize
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
fn byte(number: f32) -> u8 {
    number.round().clamp(0.0, 255.0) as u8
}

/// The distance of a point from the line between two others.
fn distance([x, y]: [f32; 2], [[x0, y0], [x1, y1]]: [[f32; 2]; 2]) -> f32 {
    let (dx, dy) = (x1 - x0, y1 - y0);
    let along = (dx * (x - x0) + dy * (y - y0)) / (dx * dx + dy * dy).max(f32::MIN_POSITIVE);
    let along = along.clamp(0.0, 1.0);
    let (across, down) = (x - x0 - along * dx, y - y0 - along * dy);
    (across * across + down * down).sqrt()
}

impl Paper for Pixels {
    fn rect(&mut self, [left, top, right, bottom]: [i32; 4], color: Rgb) {
        let edge = |at: i32, most: usize| usize::try_from(at).unwrap_or(0).min(most);
        let (left, right) = (edge(left, self.width), edge(right, self.width));
        for y in edge(top, self.height)..edge(bottom, self.height) {
            let row = &mut self.rgb[3 * y * self.width..][..3 * self.width];
            for pixel in row[3 * left..3 * right.max(left)].chunks_exact_mut(3) {
                pixel.copy_from_slice(&color);
            }
        }
    }

    fn path(&mut self, points: &[[f32; 2]], color: Rgb, width: f32) {
        // A pixel is covered by as much as its middle is within the line, and by its nearest part alone: parts that
        // meet or cross do not darken each other.
        let reach = width / 2.0 + 0.5;
        let [columns, rows] = self.around(points, reach);
        let mut covered = vec![0; columns.len() * rows.len()];
        for part in points.windows(2) {
            let [across, down] = self.around(part, reach);
            for y in down {
                let row = &mut covered[(y - rows.start) * columns.len()..][..columns.len()];
                for x in across.clone() {
                    let near = distance([x as f32, y as f32], [part[0], part[1]]);
                    let own = &mut row[x - columns.start];
                    *own = byte(255.0 * (reach - near)).max(*own);
                }
            }
        }
        for (y, row) in rows.zip(covered.chunks(columns.len().max(1))) {
            for (x, &coverage) in columns.clone().zip(row).filter(|(_, own)| **own > 0) {
                self.blend([x, y], color, coverage);
            }
        }
    }

    fn disc(&mut self, at: [f32; 2], radius: f32, color: Rgb) {
        self.path(&[at, at], color, 2.0 * radius);
    }

    fn text(&mut self, text: &str, [x, y]: [f32; 2], size: f32, anchor: Anchor, color: Rgb) {
        let width = advance(&self.font, text, size);
        // Letters run from here along the baseline: to the right, or upwards.
        let (upwards, start) = match anchor {
            Anchor::Start => (false, 0.0),
            Anchor::Middle => (false, -width / 2.0),
            Anchor::End => (false, -width),
            Anchor::Upwards => (true, -width / 2.0),
        };
        let font = self.font.clone();
        let scaled = font.as_scaled(size);
        let mut along = start;
        for letter in text.chars() {
            let id = scaled.glyph_id(letter);
            let glyph = id.with_scale_and_position(size, point(along.fract(), 0.0));
            if let Some(outline) = scaled.outline_glyph(glyph) {
                let bounds = outline.px_bounds();
                let (left, top) = (along.trunc() + bounds.min.x, bounds.min.y);
                outline.draw(|column, row, coverage| {
                    let (right, down) = (left + column as f32, top + row as f32);
                    let [x, y] = if upwards {
                        [x.floor() + down, y.floor() - right]
                    } else {
                        [x.floor() + right, y.floor() + down]
                    };
                    if x >= 0.0 && y >= 0.0 {
                        self.blend([whole(x), whole(y)], color, byte(255.0 * coverage));
                    }
                });
            }
            along += scaled.h_advance(id);
        }
    }
}
