//! A path as a sequence diagram: a line for each server, a row for each step, and beside it what
//! happens in it, in full.

use crate::path::Moment;
use kontiki_specs::{Input, Message, Output, ServerId};
use std::fmt::Write;

/// Between the lines of two servers, in pixels.
const COLUMN: usize = 80;
/// Between two steps, if the label of the later has no more than two lines.
const ROW: usize = 30;
const MARGIN: usize = 24;
/// A letter of a label. A little more than most are wide, so that nothing is cut off.
const LETTER: usize = 7;
/// The most letters in a line of a label.
const LINE: usize = 76;
/// Between two lines of a label.
const LEADING: usize = 14;

const STYLE: &str = ".life{stroke:#b8bec9}.arrow{stroke:#2b4a8b;stroke-width:1.5}\
    .mark{fill:#2b4a8b}.event{fill:#b4572e}text{font:12px sans-serif;fill:#1c2330}\
    .name,.number{font-weight:bold}";

/// The diagram as SVG.
pub(super) fn diagram(servers: &[ServerId], path: &[Moment]) -> String {
    let x = |server: ServerId| {
        let place = servers.iter().position(|other| *other == server).unwrap_or(0);
        MARGIN + place * COLUMN + COLUMN / 4
    };
    let labels_at = MARGIN + servers.len() * COLUMN;
    let labels: Vec<Vec<String>> = path.iter().map(|moment| lines(&moment.headline())).collect();
    let longest = labels.iter().flatten().map(|line| line.chars().count()).max().unwrap_or(0);
    // Where each step is, from the start on.
    let mut heights = vec![MARGIN];
    let mut bottom = MARGIN;
    for label in &labels {
        heights.push(bottom + ROW);
        bottom += ROW + LEADING * label.len().saturating_sub(2);
    }
    let y = |step: usize| heights.get(step).copied().unwrap_or(bottom);
    let (width, height) = (labels_at + (longest + 5) * LETTER + MARGIN, bottom + ROW);
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' \
         viewBox='0 0 {width} {height}'><style>{STYLE}</style><rect width='100%' height='100%' \
         fill='#fff'/><defs><marker id='arrow' markerWidth='12' markerHeight='10' refX='12' \
         refY='5' orient='auto'><polygon class='mark' points='0 0, 12 5, 0 10'/></marker></defs>\n"
    );
    for server in servers {
        let (x, bottom) = (x(*server), bottom + ROW / 2);
        let _ = writeln!(svg, "<text class='name' x='{}' y='16'>{server}</text>", x - 8);
        let _ = writeln!(svg, "<line class='life' x1='{x}' y1='22' x2='{x}' y2='{bottom}'/>");
    }
    for (step, (moment, label)) in (1..).zip(path.iter().zip(&labels)) {
        let (to_x, to_y) = (x(moment.server), y(step));
        match moment.steps.first() {
            Some((input @ Input::Deliver { from, .. }, ..)) => {
                let sent = sent_in(&path[..step - 1], *from, moment.server, input);
                let (from_x, from_y) = (x(*from), y(sent));
                let _ = writeln!(
                    svg,
                    "<line class='arrow' x1='{from_x}' y1='{from_y}' x2='{to_x}' y2='{to_y}' \
                     marker-end='url(#arrow)'/>"
                );
            }
            _ => {
                let _ = writeln!(svg, "<circle class='event' cx='{to_x}' cy='{to_y}' r='7'/>");
            }
        }
        let _ = write!(svg, "<text y='{}'><tspan class='number' x='{labels_at}'>", to_y + 4);
        let _ = write!(svg, "{step}.</tspan>");
        for (place, line) in label.iter().enumerate() {
            let (x, down) = (labels_at + 4 * LETTER, if place == 0 { 0 } else { LEADING });
            let _ = write!(svg, "<tspan x='{x}' dy='{down}'>{}</tspan>", escaped(line));
        }
        svg.push_str("</text>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

/// The number of the latest step in which a message was sent; 0 if it was in none.
fn sent_in(before: &[Moment], from: ServerId, to: ServerId, input: &Input) -> usize {
    let Input::Deliver { message, .. } = input else { return 0 };
    let sends = |output: &Output| match (output, message) {
        (Output::Send { to: receiver, message: sent }, _) => *receiver == to && sent == message,
        (
            Output::SendChunk { to: receiver, snapshot, offset, term },
            Message::InstallSnapshot { snapshot: of, offset: at, term: in_term, .. },
        ) => *receiver == to && (snapshot, offset, term) == (of, at, in_term),
        _ => false,
    };
    let sent = |moment: &Moment| {
        moment.server == from
            && moment.steps.iter().any(|(_, outputs, _)| outputs.iter().any(sends))
    };
    before.iter().rposition(sent).map_or(0, |place| place + 1)
}

/// A label in lines, broken between words.
fn lines(label: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in label.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < LINE => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
