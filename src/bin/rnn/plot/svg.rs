//! SVG. A viewer has a font of its own; the widths are those of the embedded one.

use std::fmt::Write;

use super::color::Rgb;
use super::paper::{Anchor, Paper};

/// A picture of shapes, as text.
pub(super) struct Svg {
    text: String,
}

impl Svg {
    pub(super) fn new([width, height]: [u32; 2]) -> Self {
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"DejaVu Sans, Verdana, sans-serif\" shape-rendering=\"geometricPrecision\">\n"
        );
        Svg { text }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.text.push_str("</svg>\n");
        self.text.into_bytes()
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        // A string takes every text.
        let _ = self.text.write_fmt(element);
    }
}

fn hex([red, green, blue]: Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// A coordinate with one digit behind the point, if it has one.
fn short(number: f32) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

impl Paper for Svg {
    fn rect(&mut self, [left, top, right, bottom]: [i32; 4], color: Rgb) {
        let (width, height, fill) = (right - left, bottom - top, hex(color));
        self.push(format_args!(
            "<path d=\"M{left} {top}h{width}v{height}h-{width}z\" fill=\"{fill}\" shape-rendering=\"crispEdges\"/>\n"
        ));
    }

    fn path(&mut self, points: &[[f32; 2]], color: Rgb, width: f32) {
        let points: Vec<_> =
            points.iter().map(|[x, y]| format!("{},{}", short(x + 0.5), short(y + 0.5))).collect();
        self.push(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" stroke-linejoin=\"bevel\"/>\n",
            points.join(" "),
            hex(color)
        ));
    }

    fn disc(&mut self, [x, y]: [f32; 2], radius: f32, color: Rgb) {
        let (x, y, fill) = (short(x + 0.5), short(y + 0.5), hex(color));
        self.push(format_args!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{fill}\"/>\n"));
    }

    fn text(&mut self, text: &str, [x, y]: [f32; 2], size: f32, anchor: Anchor, color: Rgb) {
        let word = match anchor {
            Anchor::Start => "start",
            Anchor::Middle | Anchor::Upwards => "middle",
            Anchor::End => "end",
        };
        let (x, y, fill) = (short(x), short(y), hex(color));
        let turned = if anchor == Anchor::Upwards {
            format!(" transform=\"rotate(-90 {x} {y})\"")
        } else {
            String::new()
        };
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.push(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" text-anchor=\"{word}\" fill=\"{fill}\"{turned}>{text}</text>\n"
        ));
    }
}
