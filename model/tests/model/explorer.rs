//! The Explorer over HTTP: its page, what it says of itself, and stateright's answers behind it.

#![allow(clippy::unwrap_used, reason = "what a test unwraps fails the test")]

use kontiki_model::cluster::{Cluster, Reductions};
use kontiki_model::explore::{About, Explorer};
use kontiki_model::mutants::run;
use kontiki_model::path::Path;
use kontiki_model::server::Mutation;
use kontiki_specs::scope::Scope;
use kontiki_specs::{MutationRow, mutation_rows};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

/// Serves a scope with a broken rule on this machine, at a port that is free.
fn serve(scope: &str, mutation: &str) -> SocketAddr {
    let row = mutation_rows().unwrap().into_iter().find(|row| row.name == mutation).unwrap();
    let scope = Scope::find(scope).unwrap();
    let cluster = Cluster::new(&scope, Mutation::from_name(mutation), Reductions::ALL);
    let about = About::of(&cluster, Some(row));
    let explorer = Explorer::bind(([127, 0, 0, 1], 0).into(), cluster, &about).unwrap();
    let address = explorer.address();
    thread::spawn(move || explorer.run());
    address
}

/// The status and the body of an answer.
fn ask(address: SocketAddr, method: &str, url: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {url} HTTP/1.0\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_string())
}

fn json(address: SocketAddr, url: &str) -> Value {
    let (status, body) = ask(address, "GET", url);
    assert_eq!(status, 200, "{url}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn the_page_is_served_with_all_that_it_asks_for() {
    let address = serve("election", "vote-twice");
    let (status, page) = ask(address, "GET", "/");
    assert_eq!(status, 200);
    let (_, script) = ask(address, "GET", "/explorer.js");
    let wanted = page.split(['"']).filter(|text| text.ends_with(".js") || text.ends_with(".css"));
    let wanted: Vec<_> = wanted.collect();
    assert_eq!(wanted, ["explorer.css", "explorer.js"]);
    for file in wanted {
        assert_eq!(ask(address, "GET", &format!("/{file}")).0, 200, "{file}");
    }
    // What the script looks for on the page is there.
    let places: BTreeSet<_> =
        script.split("at(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(places.len() > 10, "{places:?}");
    for place in places {
        assert!(page.contains(&format!("id=\"{place}\"")), "{place}");
    }
    // Nothing is fetched from elsewhere.
    assert!(![&page, &script].iter().any(|text| text.contains("://")), "{page}");
}

#[test]
fn the_scope_and_the_counterexample_are_told() {
    let address = serve("three-to-five-two-terms", "direct-switch");
    let about = json(address, "/about");
    assert_eq!(about["scope"], "three-to-five-two-terms");
    let bounds = about["bounds"].as_array().unwrap();
    for bound in ["3 voters", "2 servers outside", "2 terms", "change \"replace 1 2 3 4 5\""] {
        assert!(bounds.contains(&bound.into()), "{bound}: {bounds:?}");
    }
    assert_eq!(
        (&about["mutation"]["name"], &about["mutation"]["rule"]),
        (&"direct-switch".into(), &"M1".into())
    );
    let found = &about["counterexample"];
    assert!(found["breaks"].as_array().unwrap().contains(&"election-safety".into()), "{found}");

    // The link leads, step by step, where the story of the same mutation leads.
    let mut rows = mutation_rows().unwrap().into_iter();
    let row = rows.find(|row| row.name == "direct-switch").unwrap();
    let report =
        run(&MutationRow { scope: "three-to-five-two-terms".to_string(), ..row }, |_, _, _| {})
            .unwrap();
    let path = Path::follow(&report.cluster, &report.counterexample.unwrap()).unwrap();
    let story = path.story();
    let places: Vec<&str> = found["path"].as_str().unwrap().split('/').skip(1).collect();
    assert_eq!(places.len(), path.len() + 1);
    let mut before = String::from("/.states");
    for (step, place) in places.iter().enumerate() {
        let choices = json(address, &before);
        let taken = &choices[place.parse::<usize>().unwrap()];
        if step > 0 {
            let headline = format!("{step}. {}\n", taken["action"].as_str().unwrap());
            assert!(story.contains(&headline), "{headline}{story}");
            let diagram = taken["svg"].as_str().unwrap();
            assert!(diagram.contains(&format!(">{step}.</tspan>")), "{diagram}");
            assert!(!diagram.contains("Timeout("), "{diagram}");
        }
        let state: Value = serde_json::from_str(taken["state"].as_str().unwrap()).unwrap();
        assert_eq!(state["servers"].as_array().unwrap().len(), 5);
        let ends = step + 1 == places.len();
        let broken = state["broken"].as_array().unwrap().contains(&"election-safety".into());
        assert_eq!(broken, ends, "step {step}: {state}");
        before = format!("{before}/{place}");
    }
}

#[test]
fn stateright_answers_behind_the_page() {
    let address = serve("first-steps", "vote-twice");
    let choices = json(address, "/.states/0");
    assert_eq!(choices[0]["action"], "S1 election timeout");
    assert!(choices[0]["outcome"].as_str().unwrap().contains("term: 0 → 1"), "{choices}");
    assert_eq!(ask(address, "GET", "/.states/0/9999").0, 404);
    assert_eq!(ask(address, "GET", "/.states/x").0, 404);
    assert_eq!(ask(address, "GET", "/nothing").0, 404);
    assert_eq!(ask(address, "POST", "/").0, 404);
    assert_eq!(ask(address, "POST", "/.runtocompletion").0, 200);
    let status = json(address, "/.status");
    let properties = status["properties"].as_array().unwrap();
    assert!(properties.iter().any(|property| property[1] == "election-safety"), "{status}");
}
