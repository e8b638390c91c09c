//! A run as a picture: the targets' load second by second, and what the edges had pending. SVG, by hand.

use crate::fleet::Size;
use crate::measure::Measure;
use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 34.0;
const GAP: f64 = 46.0;
const COLOURS: [&str; 2] = ["#c2410c", "#1d4ed8"];
const NAMES: [&str; 2] = ["RUM", "SLS"];

struct Panel<'a> {
    title: &'a str,
    series: [Vec<f64>; 2],
    /// A line at 1: the quota.
    quota: bool,
}

/// The picture of a run.
#[must_use]
pub fn svg(title: &str, measure: &Measure, size: Size) -> String {
    let seconds = measure.pending[0].len();
    let pending = |leg: usize| measure.pending[leg].iter().map(|n| *n as f64).collect();
    let load = |load: &[f64]| load.iter().take(seconds).copied().collect();
    let panels = [
        Panel {
            title: "load of the target, as a part of its quota",
            series: [load(&measure.rum.load), load(&measure.sls_load())],
            quota: true,
        },
        Panel {
            title: "copies and logs that the edges have pending",
            series: [pending(0), pending(1)],
            quota: false,
        },
    ];
    let height = TOP + (HEIGHT + GAP) * panels.len() as f64;
    let width = LEFT + WIDTH + 20.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"{LEFT}\" y=\"16\" font-size=\"14\">{title}</text>\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        draw(
            &mut out,
            panel,
            TOP + (HEIGHT + GAP) * number as f64,
            seconds,
            size,
        );
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, panel: &Panel<'_>, top: f64, seconds: usize, size: Size) {
    let most = panel.series.iter().flatten().copied().fold(1.0, f64::max);
    let x = |second: f64| LEFT + WIDTH * second / (seconds.max(1) as f64);
    let y = |value: f64| top + 20.0 + (HEIGHT - 20.0) * (1.0 - value / most);
    let [begin, end] = [size.before_ms, size.end()].map(|ms| x(ms as f64 / 1_000.0));
    let (floor, ceiling) = (y(0.0), y(most));
    let _ = writeln!(
        out,
        "<rect x=\"{begin:.1}\" y=\"{ceiling:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#eee\"/>\n\
         <text x=\"{LEFT}\" y=\"{:.1}\">{}</text>\n\
         <path d=\"M{LEFT} {ceiling:.1}V{floor:.1}H{:.1}\" fill=\"none\" stroke=\"#333\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
        end - begin,
        floor - ceiling,
        top + 12.0,
        panel.title,
        LEFT + WIDTH,
        LEFT - 5.0,
        ceiling + 4.0,
        if panel.quota {
            format!("{most:.1}")
        } else {
            format!("{most:.0}")
        },
    );
    for minute in (0..=seconds / 60).step_by(5) {
        let at = x(minute as f64 * 60.0);
        let _ = writeln!(
            out,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{minute} min</text>",
            floor + 15.0
        );
    }
    if panel.quota {
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {:.1}H{:.1}\" stroke=\"#333\" stroke-dasharray=\"4 4\"/>",
            y(1.0),
            LEFT + WIDTH
        );
    }
    for (leg, series) in panel.series.iter().enumerate() {
        let points: Vec<String> = series
            .iter()
            .enumerate()
            .map(|(second, value)| format!("{:.1},{:.1}", x(second as f64), y(*value)))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\"/>\n<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{}\">{}</text>",
            points.join(" "),
            COLOURS[leg],
            LEFT + WIDTH - 90.0 + 45.0 * leg as f64,
            top + 12.0,
            COLOURS[leg],
            NAMES[leg],
        );
    }
}
