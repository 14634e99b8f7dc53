use super::*;

const OWN: &str = "own_00000001";
const OTHER: &str = "other_00000002";
const D: Duration = Duration::from_secs(15);
const NO_JITTER: Duration = Duration::ZERO;
const TIME: Timestamp = Timestamp::UNIX_EPOCH;

/// A candidate and the time at which its test began.
struct Scene {
    candidate: Candidate,
    start: Instant,
}

impl Scene {
    fn new() -> Self {
        Self { candidate: Candidate::new(OWN.to_owned(), Timing::new(D)), start: Instant::now() }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    /// Runs an attempt at this second, whose requests get these answers. Returns the requests.
    fn attempt(&mut self, second: u64, answers: impl IntoIterator<Item = Answer>) -> Vec<Request> {
        let now = self.at(second);
        let mut requests = Vec::new();
        self.candidate.begin_attempt();
        for answer in answers {
            let request = self.candidate.request(now, TIME).expect("a request");
            self.candidate.on_answer(&request, answer, now, now, NO_JITTER);
            requests.push(request);
        }
        assert_eq!(self.candidate.request(now, TIME), None, "after {requests:?}");
        requests
    }

    fn permits_writes(&self, second: u64) -> bool {
        self.candidate.tenure().permits_writes(self.at(second))
    }

    /// Lets the candidate create the Lease at second 0.
    fn leading() -> Self {
        let mut scene = Self::new();
        let requests = scene.attempt(0, [Answer::Absent, lease(OWN, 0, "1")]);
        assert!(matches!(requests[..], [Request::Get, Request::Create(_)]), "{requests:?}");
        scene
    }

    /// Lets the candidate see the Lease of another replica at second 0.
    fn following() -> Self {
        let mut scene = Self::new();
        assert_eq!(scene.attempt(0, [lease(OTHER, 0, "1")]), [Request::Get]);
        scene
    }
}

/// A Lease that this holder has renewed at this second of its own clock.
fn record(holder: &str, second: i64) -> LeaseRecord {
    LeaseRecord::first(holder, D, Timestamp::from_second(second).unwrap())
}

fn lease(holder: &str, second: i64, version: &str) -> Answer {
    Answer::Lease(record(holder, second), version.to_owned())
}

fn replaces(request: &Request, expected: &str, holder: &str) -> bool {
    matches!(request, Request::Replace { record, version } if version == expected && record.holder == holder)
}

#[test]
fn a_lease_that_is_absent_is_created_and_leads_until_two_thirds_of_its_duration() {
    let scene = Scene::leading();
    assert!(scene.permits_writes(9) && !scene.permits_writes(10));
    assert_eq!(scene.candidate.due(scene.at(0)), scene.at(5));
}

#[test]
fn a_leader_renews_with_one_request_and_its_time_counts_from_when_that_was_sent() {
    let mut scene = Scene::leading();
    let sent = scene.at(5);
    scene.candidate.begin_attempt();
    let request = scene.candidate.request(sent, TIME).unwrap();
    assert!(replaces(&request, "1", OWN), "{request:?}");
    let answered = scene.at(7);
    scene.candidate.on_answer(&request, lease(OWN, 5, "2"), sent, answered, NO_JITTER);
    assert!(scene.permits_writes(14) && !scene.permits_writes(15));
}

#[test]
fn a_follower_waits_for_the_whole_duration_since_it_has_seen_a_renewal_itself() {
    let mut scene = Scene::following();
    assert_eq!(scene.candidate.decide(scene.at(14)), Step::Wait(scene.at(15)));
    scene.candidate.on_watch(Observed::Lease(record(OTHER, -3_600)), scene.at(4), NO_JITTER);
    assert_eq!(scene.candidate.decide(scene.at(18)), Step::Wait(scene.at(19)), "an hour behind");
    scene.candidate.on_watch(Observed::Lease(record(OTHER, -3_600)), scene.at(9), NO_JITTER);
    let requests = scene.attempt(19, [lease(OTHER, -3_600, "9"), lease(OWN, 19, "10")]);
    assert!(requests[0] == Request::Get && replaces(&requests[1], "9", OWN), "{requests:?}");
    assert!(scene.permits_writes(20));
}

#[test]
fn a_follower_that_has_missed_a_renewal_sees_it_before_it_writes_and_waits_anew() {
    let mut scene = Scene::following();
    assert_eq!(scene.attempt(15, [lease(OTHER, 5, "2")]), [Request::Get]);
    assert_eq!(scene.candidate.decide(scene.at(15)), Step::Wait(scene.at(30)));
}

#[test]
fn a_follower_reads_the_lease_itself_when_a_renewal_is_overdue_until_one_is_seen_or_the_lease_has_expired() {
    let mut scene = Scene::following();
    let mut reads = Vec::new();
    while scene.candidate.due(scene.start) < scene.at(15) {
        let second = (scene.candidate.due(scene.start) - scene.start).as_secs();
        assert_eq!(scene.attempt(second, [lease(OTHER, 0, "1")]), [Request::Get]);
        assert!(!scene.candidate.take_watch_silence(), "it has lost nothing");
        reads.push(second);
    }
    assert_eq!(reads, (6..15).collect::<Vec<_>>());
    assert_eq!(scene.attempt(15, [lease(OTHER, 0, "1"), lease(OWN, 15, "2")]).len(), 2);
    assert!(scene.permits_writes(15));
}

#[test]
fn a_renewal_that_the_watch_has_lost_is_seen_soon_after_it_was_due_and_the_watch_begins_anew() {
    let mut scene = Scene::following();
    assert_eq!(scene.attempt(6, [lease(OTHER, 5, "2")]), [Request::Get]);
    assert!(scene.candidate.take_watch_silence() && !scene.candidate.take_watch_silence());
    assert_eq!(scene.candidate.decide(scene.at(20)), Step::Wait(scene.at(21)), "16 seconds, and not 25");
    scene.candidate.on_watch(Observed::Lease(record(OTHER, 10)), scene.at(10), NO_JITTER);
    assert_eq!(scene.candidate.due(scene.at(10)), scene.at(16), "the watch works: no read before that");
    assert!(!scene.candidate.take_watch_silence());
}

#[test]
fn a_lease_of_a_short_duration_is_read_no_more_often_than_ours_is_tried() {
    let mut scene = Scene::new();
    let short = LeaseRecord { duration_seconds: Some(1), ..record(OTHER, 0) };
    scene.attempt(0, [Answer::Lease(short, "1".to_owned())]);
    assert_eq!(scene.candidate.due(scene.start), scene.at(1), "it expires, and is not read before");
}

#[test]
fn a_jitter_delays_the_takeover_of_an_expired_lease() {
    let mut scene = Scene::following();
    let jitter = Duration::from_millis(400);
    scene.candidate.on_watch(Observed::Lease(record(OTHER, 1)), scene.at(1), jitter);
    assert_eq!(scene.candidate.decide(scene.at(1)), Step::Wait(scene.at(16) + jitter));
}

#[test]
fn a_released_lease_is_taken_at_once_and_by_one_replica() {
    let mut scene = Scene::following();
    scene.candidate.on_watch(Observed::Lease(record(OTHER, 1).released(TIME)), scene.at(1), NO_JITTER);
    assert_eq!(scene.candidate.due(scene.at(1)), scene.at(1));
    let third = "third_00000003";
    let requests = scene.attempt(1, [lease("", 1, "2"), Answer::Conflict, lease(third, 1, "3")]);
    assert!(replaces(&requests[1], "2", OWN) && requests[2] == Request::Get, "{requests:?}");
    assert!(!scene.permits_writes(1));
    assert_eq!(scene.candidate.decide(scene.at(1)), Step::Wait(scene.at(16)));
}

#[test]
fn a_claim_without_an_answer_is_read_and_sent_again() {
    let mut scene = Scene::leading();
    assert_eq!(scene.attempt(5, [Answer::Failed]).len(), 1);
    assert_eq!(scene.candidate.due(scene.at(5)), scene.at(6), "after a pause");
    let requests = scene.attempt(6, [lease(OWN, 5, "2"), lease(OWN, 6, "3")]);
    assert!(requests[0] == Request::Get && replaces(&requests[1], "2", OWN), "{requests:?}");
    assert!(scene.permits_writes(15));
}

#[test]
fn a_first_claim_whose_answer_was_lost_is_recognized_as_our_own() {
    let mut scene = Scene::new();
    scene.attempt(0, [Answer::Absent, Answer::Failed]);
    assert!(!scene.permits_writes(0));
    let requests = scene.attempt(1, [lease(OWN, 0, "1"), lease(OWN, 1, "2")]);
    assert!(replaces(&requests[1], "1", OWN), "{requests:?}");
    assert!(scene.permits_writes(1));
}

#[test]
fn a_term_ends_at_once_where_another_holds_the_lease() {
    let mut scene = Scene::leading();
    scene.attempt(5, [Answer::Conflict, lease(OTHER, 5, "7")]);
    assert!(!scene.permits_writes(5));
    assert_eq!(scene.candidate.decide(scene.at(5)), Step::Wait(scene.at(20)));
}

#[test]
fn a_leader_reads_at_once_when_the_watch_shows_that_it_lost_the_lease() {
    let others = [record(OTHER, 1), record(OTHER, 1).released(TIME)].map(Observed::Lease);
    for observed in others.into_iter().chain([Observed::Absent]) {
        let mut scene = Scene::leading();
        scene.candidate.on_watch(observed.clone(), scene.at(1), NO_JITTER);
        assert!(scene.permits_writes(1), "the watch may be late, so it decides nothing");
        assert_eq!(scene.candidate.due(scene.at(1)), scene.at(1), "{observed:?}");
        scene.attempt(1, [lease(OWN, 0, "1")]);
        assert_eq!(scene.candidate.due(scene.at(1)), scene.at(5), "it was late");
    }
}

#[test]
fn a_lease_that_was_deleted_is_created_again_by_its_leader() {
    let mut scene = Scene::leading();
    scene.candidate.on_watch(Observed::Absent, scene.at(1), NO_JITTER);
    let requests = scene.attempt(1, [Answer::Absent, lease(OWN, 1, "4")]);
    assert!(matches!(requests[1], Request::Create(_)), "{requests:?}");
    let requests = scene.attempt(6, [Answer::Absent, lease(OWN, 6, "5")]);
    assert!(matches!(requests[1], Request::Create(_)), "{requests:?}");
    assert!(scene.permits_writes(15));
}

#[test]
fn a_term_that_has_ended_in_a_pause_begins_anew_where_nobody_has_taken_the_lease() {
    let mut scene = Scene::leading();
    assert!(!scene.permits_writes(60));
    scene.attempt(60, [lease(OWN, 60, "2")]);
    assert!(scene.permits_writes(69) && !scene.permits_writes(70));
}

#[test]
fn a_replica_that_is_refused_for_two_thirds_of_the_duration_works_alone() {
    let mut scene = Scene::new();
    for second in 0..10 {
        scene.attempt(second, [Answer::Refused]);
        assert!(!scene.permits_writes(second));
        assert_eq!(scene.candidate.due(scene.at(second)), scene.at(second + 1));
    }
    scene.attempt(10, [Answer::Refused]);
    assert_eq!(scene.candidate.tenure(), Tenure::Unelected);
    assert_eq!(scene.candidate.due(scene.at(10)), scene.at(40), "asks every 30 seconds");
}

#[test]
fn an_outage_makes_nobody_leader_and_interrupts_a_refusal() {
    let mut scene = Scene::new();
    for second in 0..100 {
        let answer = if second % 9 == 0 { Answer::Failed } else { Answer::Refused };
        scene.attempt(second, [answer]);
        assert!(!scene.permits_writes(second), "{second}");
    }
}

#[test]
fn a_right_to_read_without_one_to_write_is_refused_without_a_break() {
    let mut scene = Scene::new();
    for second in 0..=10 {
        scene.attempt(second, [Answer::Absent, Answer::Refused]);
    }
    assert_eq!(scene.candidate.tenure(), Tenure::Unelected);
}

#[test]
fn a_replica_that_works_alone_takes_part_when_the_right_comes() {
    let alone = || {
        let mut scene = Scene::new();
        scene.attempt(0, [Answer::Refused]);
        scene.attempt(10, [Answer::Refused]);
        assert!(scene.permits_writes(10));
        scene
    };
    let mut follows = alone();
    follows.attempt(40, [lease(OTHER, 0, "5")]);
    assert_eq!(follows.candidate.tenure(), Tenure::Follows);
    let mut leads = alone();
    leads.attempt(40, [Answer::Absent, lease(OWN, 40, "5")]);
    assert_eq!(leads.candidate.tenure(), Tenure::LeadsUntil(leads.at(50)));
    let mut fails = alone();
    fails.attempt(40, [Answer::Failed]);
    assert_eq!(fails.candidate.tenure(), Tenure::Unelected);
    assert_eq!(fails.candidate.due(fails.at(40)), fails.at(70));
}

#[test]
fn a_leader_that_loses_its_right_works_alone_when_its_term_would_end() {
    let mut scene = Scene::leading();
    for second in 5..=15 {
        scene.attempt(second, [Answer::Refused]);
    }
    assert_eq!(scene.candidate.tenure(), Tenure::Unelected);
    scene.attempt(45, [lease(OTHER, 5, "9")]);
    assert_eq!(scene.candidate.tenure(), Tenure::Follows);
    assert_eq!(scene.candidate.due(scene.at(45)), scene.at(51), "it waits, and does not spin");
}

#[test]
fn a_lease_that_names_this_process_though_it_never_asked_is_waited_for() {
    let mut scene = Scene::new();
    scene.attempt(0, [lease(OWN, 0, "1")]);
    assert!(!scene.permits_writes(0));
    assert_eq!(scene.candidate.decide(scene.at(0)), Step::Wait(scene.at(15)));
}

#[test]
fn an_impossible_record_is_waited_for_and_taken() {
    let mut scene = Scene::new();
    let odd = LeaseRecord { holder: "scheduler".to_owned(), duration_seconds: Some(0), ..Default::default() };
    scene.attempt(0, [Answer::Lease(odd.clone(), "1".to_owned())]);
    assert_eq!(scene.candidate.decide(scene.at(0)), Step::Wait(scene.at(15)));
    scene.attempt(15, [Answer::Lease(odd, "1".to_owned()), lease(OWN, 15, "2")]);
    assert!(scene.permits_writes(15));
}

#[test]
fn a_resigning_leader_releases_its_lease_and_claims_nothing_more() {
    let mut scene = Scene::leading();
    scene.candidate.resign();
    assert!(!scene.permits_writes(1));
    let requests = scene.attempt(1, [Answer::Conflict, lease(OWN, 0, "3"), lease("", 1, "4")]);
    assert!(replaces(&requests[0], "1", "") && replaces(&requests[2], "3", ""), "{requests:?}");
    assert!(scene.attempt(2, []).is_empty());
    let mut follower = Scene::following();
    follower.candidate.resign();
    assert!(follower.attempt(100, []).is_empty());
}

#[test]
fn conflicts_without_end_do_not_keep_an_attempt_from_ending() {
    let mut scene = Scene::leading();
    let conflicts = [Answer::Conflict, lease(OWN, 0, "2"), Answer::Conflict, lease(OWN, 0, "3")];
    let answers = conflicts.into_iter().chain([Answer::Conflict, lease(OWN, 0, "4")]);
    scene.attempt(5, answers);
    assert_eq!(scene.candidate.due(scene.at(5)), scene.at(6));
}
