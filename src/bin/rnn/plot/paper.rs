//! A surface for shapes, and the font of its letters.

use ab_glyph::{Font, FontRef, ScaleFont};
use anyhow::Result;

use super::color::Rgb;
use crate::failure::Bug;

/// `DejaVu` Sans, reduced to the characters of pictures; its licence stands beside it.
const FONT: &[u8] = include_bytes!("DejaVuSans.ttf");

/// The place of a text beside its point, which is on its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
    /// Turned to run upwards, with its middle at the point.
    Upwards,
}

/// A surface for shapes. Rectangles are left, upper, right and lower edge, in pixels from the upper left corner. A point
/// is the middle of a pixel.
pub(super) trait Paper {
    fn rect(&mut self, edges: [i32; 4], color: Rgb);
    fn path(&mut self, points: &[[f32; 2]], color: Rgb, width: f32);
    fn disc(&mut self, at: [f32; 2], radius: f32, color: Rgb);
    fn text(&mut self, text: &str, at: [f32; 2], size: f32, anchor: Anchor, color: Rgb);
}

/// The embedded font.
pub(super) fn font() -> Result<FontRef<'static>> {
    Ok(FontRef::try_from_slice(FONT).map_err(|error| Bug(format!("the embedded font: {error}")))?)
}

/// The width of a text.
pub(super) fn advance(font: &FontRef<'_>, text: &str, size: f32) -> f32 {
    let scaled = font.as_scaled(size);
    text.chars().map(|letter| scaled.h_advance(scaled.glyph_id(letter))).sum()
}
