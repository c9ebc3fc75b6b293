//! What each story about reads is told for.

use super::seen::{assert_one_log, last, leads, steps, story};
use kontiki_conformance::stories::Story;
use kontiki_specs::{
    Input, LogIndex, LogPosition, Message, Output, ReadId, Refusal, ServerId, Term,
};

/// What a server says of reads, in order, each with what it has applied by then.
fn answers(story: &Story, server: u64) -> Vec<(Output, LogIndex)> {
    let is_answer =
        |output: &&Output| matches!(output, Output::ReadReady { .. } | Output::ReadRefused { .. });
    let in_step = |step: &kontiki_specs::trace::TraceStep| {
        let applied = step.observation.applied_index;
        let answers = step.outputs.iter().filter(is_answer).cloned();
        answers.map(|answer| (answer, applied)).collect::<Vec<_>>()
    };
    steps(story, server).flat_map(in_step).collect()
}

fn ready(read: u64, index: u64) -> Output {
    Output::ReadReady { read: ReadId(read), index: LogIndex(index) }
}

#[test]
fn read_refused() {
    let story = story("read-refused");
    let both_lead = |step: &kontiki_specs::trace::TraceStep| {
        matches!(step.input, Input::Read { .. }) && leads(&step.observation)
    };
    let asked = story.trace.steps.iter().filter(|step| both_lead(step));
    assert_eq!(asked.map(|step| step.server.0).collect::<Vec<_>>(), [1, 2]);
    let refusal = Refusal::NotLeader { leader: None };
    let refused = Output::ReadRefused { read: ReadId(1), refusal };
    // S1 has not heard of the command that the read at S2 sees.
    assert_eq!(answers(&story, 1), [(refused, LogIndex(2))]);
    assert_eq!(answers(&story, 2), [(ready(2, 4), LogIndex(4))]);
    assert!(leads(last(&story, 2)));
    assert_one_log(&story, &[1, 2, 3]);
}

#[test]
fn read_asked_again() {
    let story = story("read-asked-again");
    let asks = |output: &&Output| {
        matches!(output, Output::Send { message: Message::ReadIndex { .. }, .. })
    };
    let asked = steps(&story, 3).flat_map(|step| step.outputs.iter().filter(asks)).cloned();
    let question = |to, term| Output::Send {
        to: ServerId(to),
        message: Message::ReadIndex { term: Term(term), read: ReadId(1) },
    };
    assert_eq!(asked.collect::<Vec<_>>(), [question(1, 1), question(2, 2)]);
    // The answer of S1 would have said 2, and x=2 was not there yet when the read began.
    assert_eq!(answers(&story, 3), [(ready(1, 4), LogIndex(3))]);
    assert_eq!(last(&story, 3).applied_index, LogIndex(4));
    assert_one_log(&story, &[1, 2, 3]);
}

#[test]
fn read_own_term() {
    let story = story("read-own-term");
    assert_eq!(answers(&story, 2), [(ready(1, 3), LogIndex(3))]);
    let answered = steps(&story, 2).find(|step| step.outputs.contains(&ready(1, 3))).unwrap();
    let position = LogPosition { index: LogIndex(2), term: Term(1) };
    let completed = Output::ChangeCompleted { position };
    let place = |of: &Output| answered.outputs.iter().position(|output| output == of).unwrap();
    let applies = answered.outputs.iter().position(|one| matches!(one, Output::Apply { .. }));
    assert!(applies.unwrap() < place(&completed) && place(&completed) < place(&ready(1, 3)));
    // S1 has confirmed before: what the read has waited for is the commit.
    let confirms = |step: &&kontiki_specs::trace::TraceStep| {
        matches!(step.input, Input::Deliver { message: Message::ConfirmLeadershipReply { .. }, .. })
    };
    let confirmed = steps(&story, 2).find(confirms).unwrap();
    assert_eq!(confirmed.observation.commit_index, LogIndex(1));
    assert_ne!(confirmed, answered);
    assert_one_log(&story, &[1, 2]);
}

#[test]
fn read_by_lease() {
    let story = story("read-by-lease");
    // One read at once, in the step that asks for it; the last of three waits and is not answered.
    assert_eq!(answers(&story, 1), [(ready(1, 2), LogIndex(2))]);
    assert_eq!(answers(&story, 3), [(ready(2, 2), LogIndex(2))]);
    let asked = steps(&story, 1).filter(|step| matches!(step.input, Input::Read { .. }));
    let outputs: Vec<_> = asked.map(|step| step.outputs.clone()).collect();
    assert_eq!(outputs[0], [ready(1, 2)]);
    assert!(leads(last(&story, 1)) && leads(last(&story, 2)));
    // S2 has committed what the last read would have missed.
    assert_eq!(last(&story, 2).commit_index, LogIndex(4));
}
