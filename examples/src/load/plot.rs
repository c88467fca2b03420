//! One page with the latencies as a histogram and the rates as a line: SVG in HTML, nothing to load.

use std::fmt::Write;

use super::{meter::Latency, report::Report, traffic::Outcome};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 36.0;
const COLOURS: [(&str, &str); 2] = [("acknowledged", "#2b6cb0"), ("delivered", "#dd6b20")];

pub(super) fn page(report: &Report) -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>load</title>\n<style>body{font:14px sans-serif;\
         margin:2em;max-width:900px}pre{background:#f4f4f4;padding:1em;overflow:auto}text{font:11px sans-serif}</style>\n",
    );
    // Writing to a String does not fail.
    let _ = writeln!(page, "<h1>load</h1>\n<pre>{}</pre>", escape(&report.to_string()));
    for outcome in &report.stretches {
        let _ = writeln!(page, "<h2>{} loop</h2>", outcome.loop_);
        page += "<h3>Latency</h3>\n";
        page += &histogram(outcome);
        page += "<h3>Texts a second</h3>\n";
        page += &rates(outcome);
    }
    page += "</html>\n";
    page
}

/// Shares of the texts by latency, on a logarithmic axis.
fn histogram(outcome: &Outcome) -> String {
    let both = [&outcome.acknowledgement, &outcome.delivery];
    let buckets = || both.iter().flat_map(|latency| &latency.buckets);
    let (low, high) = buckets().fold((f64::MAX, 1.0_f64), |(low, high), bucket| {
        let bound = bucket.up_to_us.max(1) as f64;
        (low.min(bound / Latency::STEP), high.max(bound))
    });
    let low = low.min(high / 10.0).max(0.5);
    let x = |us: f64| LEFT + (us.max(low) / low).ln() / (high / low).ln() * (WIDTH - LEFT);
    let share = |latency: &Latency, count: u64| count as f64 / latency.count.max(1) as f64;
    let shares = both.iter().flat_map(|latency| latency.buckets.iter().map(|bucket| share(latency, bucket.count)));
    let top = shares.fold(0.0, f64::max).max(0.01);
    let y = |share: f64| (HEIGHT - BOTTOM) * (1.0 - share / top);

    let mut svg = open();
    for (latency, (_, colour)) in both.into_iter().zip(COLOURS) {
        for bucket in &latency.buckets {
            let (left, right) = (x(bucket.up_to_us as f64 / Latency::STEP), x(bucket.up_to_us as f64));
            let above = y(share(latency, bucket.count));
            let (width, height) = ((right - left).max(0.5), HEIGHT - BOTTOM - above);
            let _ = write!(
                svg,
                "<rect x=\"{left:.1}\" y=\"{above:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\" \
                 fill-opacity=\"0.5\"/>"
            );
        }
    }
    let mut decade = 10_f64.powf(low.log10().ceil());
    while decade <= high {
        mark_x(&mut svg, x(decade), &milliseconds(decade));
        decade *= 10.0;
    }
    mark_y(&mut svg, y(top), &format!("{:.0} %", top * 100.0));
    close(svg)
}

/// What was counted in each second.
fn rates(outcome: &Outcome) -> String {
    let both = [&outcome.acknowledged_in_each_second, &outcome.delivered_in_each_second];
    let top = both.iter().flat_map(|counts| counts.iter()).copied().max().unwrap_or(0).max(1) as f64;
    let seconds = both.iter().map(|counts| counts.len()).max().unwrap_or(0).max(1);
    let x = |second: f64| LEFT + second / seconds as f64 * (WIDTH - LEFT);
    let y = |count: f64| (HEIGHT - BOTTOM) * (1.0 - count / top);

    let mut svg = open();
    for (counts, (_, colour)) in both.into_iter().zip(COLOURS) {
        let points: Vec<_> = counts
            .iter()
            .enumerate()
            .map(|(second, &count)| format!("{:.1},{:.1}", x(second as f64 + 0.5), y(count as f64)))
            .collect();
        let points = points.join(" ");
        let _ = write!(svg, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
    }
    let step = seconds.div_ceil(10);
    for second in (0..=seconds).step_by(step) {
        mark_x(&mut svg, x(second as f64), &format!("{second} s"));
    }
    mark_y(&mut svg, y(top), &format!("{top:.0}"));
    mark_y(&mut svg, y(top / 2.0), &format!("{:.0}", top / 2.0));
    close(svg)
}

fn open() -> String {
    let mut svg = format!("<svg viewBox=\"-10 -14 {} {}\" width=\"100%\">", WIDTH + 30.0, HEIGHT + 14.0);
    for (place, (name, colour)) in COLOURS.into_iter().enumerate() {
        let left = WIDTH - 220.0 + 110.0 * place as f64;
        let _ = write!(svg, "<rect x=\"{left}\" y=\"-10\" width=\"10\" height=\"10\" fill=\"{colour}\"/>");
        let _ = write!(svg, "<text x=\"{}\" y=\"-1\">{name}</text>", left + 14.0);
    }
    let floor = HEIGHT - BOTTOM;
    let _ = write!(svg, "<path d=\"M{LEFT} 0V{floor}H{WIDTH}\" fill=\"none\" stroke=\"#444\"/>");
    svg
}

fn close(svg: String) -> String {
    svg + "</svg>\n"
}

fn mark_x(svg: &mut String, x: f64, label: &str) {
    let floor = HEIGHT - BOTTOM;
    let _ = write!(svg, "<path d=\"M{x:.1} {floor}v5\" stroke=\"#444\"/>");
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", floor + 18.0);
}

fn mark_y(svg: &mut String, y: f64, label: &str) {
    let _ = write!(svg, "<path d=\"M{LEFT} {y:.1}h-5\" stroke=\"#444\"/>");
    let _ = write!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 8.0, y + 4.0);
}

fn milliseconds(us: f64) -> String {
    if us < 1_000.0 { format!("{us:.0} µs") } else { format!("{:.0} ms", us / 1_000.0) }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
