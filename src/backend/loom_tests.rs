//! Every interleaving of what is hand-made and lock-free here. Run with
//! `RUSTFLAGS="--cfg evenkeel_loom" cargo test --no-default-features --lib loom_tests`.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Waker};

use loom::thread;

use super::adaptive::Adaptive;
use super::latency::{Average, Waiting};
use super::level::{Levels, Pieces, Place, TOP};
use super::line::{self, Line};
use super::room::{Lines, MaxInFlight};
use super::{AdaptiveLimit, Guard, Handle, LatencySettings, Live, Outcome, Phase, Total};
use crate::sync::{AtomicU32, Ordering};

fn live() -> Arc<Live> {
    let live = Live::new("a".into(), Handle::of_slot(0), LatencySettings::new());
    Arc::new(live)
}

/// Two of them, each with places for a few backends.
fn pieces() -> Arc<Pieces> {
    let pieces = Pieces::default();
    (0..2).for_each(|piece| pieces.set(piece, Levels::new(1)));
    Arc::new(pieces)
}

fn place(piece: usize) -> Option<Place> {
    Place::new(piece, 0)
}

fn levels_of(pieces: &Pieces, piece: usize) -> Vec<usize> {
    let levels = pieces.get(piece).unwrap();
    (0..=TOP)
        .filter(|&level| levels.word(level, 0) != 0)
        .collect()
}

/// As a picker finds it: by the hints.
fn lowest_of(pieces: &Pieces, piece: usize) -> Option<usize> {
    let levels = pieces.get(piece).unwrap();
    let is_seen = |level| levels.next_in_use(level) == Some(level);
    (0..=TOP).find(|&level| {
        is_seen(level) && levels.words_in_use(level) == 1 && levels.word(level, 0) != 0
    })
}

#[test]
fn a_backend_ends_at_the_level_of_its_count_however_it_was_indexed() {
    check_most(|| {
        let (live, pieces) = (live(), pieces());
        let request = {
            let live = Arc::clone(&live);
            thread::spawn(move || {
                live.enter();
                live.leave();
                live.enter();
            })
        };
        live.index(&pieces, place(0));
        live.enter();
        request.join().unwrap();
        assert_eq!(live.in_flight(), 2);
        assert_eq!(levels_of(&pieces, 0), [2]);
        assert_eq!(lowest_of(&pieces, 0), Some(2));
    });
}

#[test]
fn a_backend_that_left_leaves_no_bit_behind() {
    loom::model(|| {
        let (live, pieces) = (live(), pieces());
        live.index(&pieces, place(0));
        let request = {
            let live = Arc::clone(&live);
            thread::spawn(move || {
                live.enter();
                live.leave();
            })
        };
        live.retire();
        request.join().unwrap();
        assert_eq!(live.in_flight(), 0);
        assert!(levels_of(&pieces, 0).is_empty());
    });
}

#[test]
fn a_place_that_is_used_again_shows_its_new_backend_only() {
    loom::model(|| {
        let (old, pieces) = (live(), pieces());
        old.index(&pieces, place(0));
        let request = {
            let old = Arc::clone(&old);
            thread::spawn(move || old.enter())
        };
        old.retire();
        let new = live();
        new.index(&pieces, place(0));
        new.enter();
        request.join().unwrap();
        assert_eq!(levels_of(&pieces, 0), [1]);
        assert_eq!(lowest_of(&pieces, 0), Some(1));
    });
}

#[test]
fn a_backend_whose_weight_changes_is_at_its_new_place_only() {
    check_most(|| {
        let (live, pieces) = (live(), pieces());
        live.index(&pieces, place(0));
        let request = {
            let live = Arc::clone(&live);
            thread::spawn(move || {
                live.enter();
                live.enter();
                live.leave();
            })
        };
        live.index(&pieces, place(1));
        request.join().unwrap();
        assert!(levels_of(&pieces, 0).is_empty());
        assert_eq!(levels_of(&pieces, 1), [1]);
        assert_eq!(lowest_of(&pieces, 1), Some(1));
    });
}

#[test]
fn a_backend_whose_weight_changes_and_changes_back_is_where_it_was() {
    loom::model(|| {
        let (live, pieces) = (live(), pieces());
        live.index(&pieces, place(0));
        let request = {
            let live = Arc::clone(&live);
            thread::spawn(move || live.enter())
        };
        live.index(&pieces, None);
        live.index(&pieces, place(1));
        live.index(&pieces, place(0));
        request.join().unwrap();
        assert_eq!(levels_of(&pieces, 0), [1]);
        assert!(levels_of(&pieces, 1).is_empty());
    });
}

#[test]
fn a_level_that_is_found_empty_is_not_hidden_from_who_comes_there_meanwhile() {
    // Steps within a row, and from one to the next.
    for count in 0..2 {
        loom::model(move || {
            let (live, pieces) = (live(), pieces());
            live.index(&pieces, place(0));
            // Has been there before, so that the hints are there.
            for _ in 0..=count {
                live.enter();
            }
            live.leave();
            let request = {
                let live = Arc::clone(&live);
                thread::spawn(move || live.enter())
            };
            let levels = pieces.get(0).unwrap();
            if levels.word(count + 1, 0) == 0 {
                levels.tidy(count + 1, 0);
            }
            request.join().unwrap();
            assert_eq!(lowest_of(&pieces, 0), Some(count + 1));
        });
    }
}

#[test]
fn of_two_who_hide_a_level_at_once_none_hides_it_from_who_comes_there() {
    check_most(|| {
        let (live, pieces) = (live(), pieces());
        live.index(&pieces, place(0));
        live.enter();
        live.leave();
        let request = {
            let live = Arc::clone(&live);
            thread::spawn(move || live.enter())
        };
        let picker = {
            let pieces = Arc::clone(&pieces);
            thread::spawn(move || pieces.get(0).unwrap().tidy(1, 0))
        };
        let levels = pieces.get(0).unwrap();
        if levels.words_in_use(1) == 0 {
            levels.tidy_level(1);
        }
        request.join().unwrap();
        picker.join().unwrap();
        assert_eq!(lowest_of(&pieces, 0), Some(1));
    });
}

#[test]
fn a_total_is_that_of_its_members_whoever_joins_or_leaves_meanwhile() {
    loom::model(|| {
        let total = Total::new();
        let [stays, goes] = [live(), live()];
        goes.count_in(&total);
        let requests = {
            let (stays, goes) = (Arc::clone(&stays), Arc::clone(&goes));
            thread::spawn(move || {
                stays.enter();
                goes.enter();
                goes.leave();
            })
        };
        stays.count_in(&total);
        stays.enter();
        goes.retire();
        requests.join().unwrap();
        assert_eq!(total.sum(), 2);
    });
}

#[test]
fn who_waits_for_the_last_request_is_woken_by_it_or_sees_that_it_has_ended() {
    struct Woken(std::sync::atomic::AtomicBool);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }

    loom::model(|| {
        let live = live();
        live.enter();
        live.enter();
        let requests = [(); 2].map(|()| {
            let live = Arc::clone(&live);
            thread::spawn(move || live.leave())
        });
        let woken = Arc::new(Woken(false.into()));
        let idle = live.wait_until_idle(1, &Arc::clone(&woken).into());
        live.retire();
        requests.map(|request| request.join().unwrap());
        assert!(idle || woken.0.load(std::sync::atomic::Ordering::SeqCst));
    });
}

#[test]
fn no_sample_is_lost_when_two_arrive_at_once() {
    loom::model(|| {
        let average = Arc::new(Average::new());
        let settings = LatencySettings::new();
        let record = move |average: &Average, seconds: u64| {
            average.record(seconds * 1_000_000_000, Outcome::Success, 1 << 40, settings);
        };
        let other = {
            let average = Arc::clone(&average);
            thread::spawn(move || record(&average, 5))
        };
        record(&average, 1);
        other.join().unwrap();
        // In either order the peak stays.
        assert_eq!(average.read(1 << 40, settings), Some(5.0));
    });
}

#[test]
fn waiting_requests_are_counted_back() {
    loom::model(|| {
        let waiting = Arc::new(Waiting::new());
        let other = {
            let waiting = Arc::clone(&waiting);
            thread::spawn(move || {
                waiting.enter(1 << 30);
                waiting.leave(1 << 30);
            })
        };
        waiting.enter(1 << 31);
        other.join().unwrap();
        let age = waiting.mean_age((1 << 31) + (1 << 30)).unwrap();
        assert!((age - 1.073_741_8).abs() < 1e-3, "{age}");
        waiting.leave(1 << 31);
        assert_eq!(waiting.mean_age(1 << 32), None);
    });
}

#[test]
fn of_two_requests_one_is_the_trial_and_its_end_is_what_counts() {
    loom::model(|| {
        let live = live();
        let epoch = NonZeroU32::MIN;
        let phase = Phase::Free;
        live.gate().set(Guard::Trial { epoch, phase });
        let request = |outcome| {
            let live = Arc::clone(&live);
            thread::spawn(move || {
                let taken = live.take_trial(epoch);
                if taken {
                    live.end_trial(epoch, outcome);
                }
                taken
            })
        };
        let (first, second) = (request(Outcome::Success), request(Outcome::Success));
        let taken = [first.join().unwrap(), second.join().unwrap()];
        assert_eq!(taken.into_iter().filter(|&taken| taken).count(), 1);
        let phase = Phase::Passed;
        assert_eq!(live.guard(), Guard::Trial { epoch, phase });
    });
}

#[test]
fn a_trial_that_was_given_up_can_be_taken_again() {
    loom::model(|| {
        let live = live();
        let epoch = NonZeroU32::MIN;
        let phase = Phase::Free;
        live.gate().set(Guard::Trial { epoch, phase });
        assert!(live.take_trial(epoch));
        let given_up = {
            let live = Arc::clone(&live);
            thread::spawn(move || live.end_trial(epoch, Outcome::Cancelled))
        };
        // Before that or after it.
        let again = live.take_trial(epoch);
        given_up.join().unwrap();
        let phase = if again { Phase::Taken } else { Phase::GivenUp };
        assert_eq!(live.guard(), Guard::Trial { epoch, phase });
        assert!(again || live.take_trial(epoch));
    });
}

#[test]
fn what_a_trial_of_the_past_shows_changes_nothing() {
    loom::model(|| {
        let live = live();
        let (past, present) = (NonZeroU32::MIN, NonZeroU32::MAX);
        let phase = Phase::Free;
        live.gate().set(Guard::Trial { epoch: past, phase });
        assert!(live.take_trial(past));
        let late = {
            let live = Arc::clone(&live);
            thread::spawn(move || live.end_trial(past, Outcome::Success))
        };
        // It hangs: ejected, and tried anew.
        live.gate().set(Guard::Open);
        let trial = Guard::Trial {
            epoch: present,
            phase,
        };
        live.gate().set(trial);
        late.join().unwrap();
        assert_eq!(live.guard(), trial);
    });
}

#[test]
fn two_overloads_at_once_lower_a_limit_once() {
    loom::model(|| {
        let adaptive = sampled_at_once(Outcome::Rejected);
        assert_eq!(adaptive.limit(), 18);
        assert_eq!(adaptive.state().seen, 1);
    });
}

#[test]
fn no_sample_of_a_limit_is_lost() {
    loom::model(|| assert_eq!(sampled_at_once(Outcome::Success).state().seen, 2));
}

/// A limit of 20 that two threads sample while a third looks after its bounds.
fn sampled_at_once(outcome: Outcome) -> Arc<Adaptive> {
    let settings = AdaptiveLimit::aimd();
    let adaptive = Arc::new(Adaptive::new(&settings));
    let threads = [(); 2].map(|()| {
        let adaptive = Arc::clone(&adaptive);
        thread::spawn(move || adaptive.sample(&settings, 1000, 20, outcome))
    });
    adaptive.bound(&settings);
    for thread in threads {
        thread.join().unwrap();
    }
    adaptive
}

/// Room for so many, as a user of a line has it.
struct Room {
    free: AtomicU32,
    line: Arc<Line>,
}

impl Room {
    fn new(free: u32) -> Arc<Self> {
        Arc::new(Self {
            free: AtomicU32::new(free),
            line: Arc::new(Line::new(8, false)),
        })
    }

    fn free(&self) -> u32 {
        self.free.load(Ordering::Relaxed)
    }

    fn take(&self) -> bool {
        let one_less = |free: u32| free.checked_sub(1);
        let free = &self.free;
        free.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_less)
            .is_ok()
    }

    fn call(&self) {
        self.line.call(|| self.free());
    }

    fn give(&self) {
        self.free.fetch_add(1, Ordering::Release);
        self.call();
    }

    /// Takes room at once, or joins.
    fn enter(&self) -> Option<line::Place> {
        if self.line.is_empty() && self.take() {
            return None;
        }
        let place = Line::join(&self.line, Waker::noop()).expect("room in the line");
        self.call();
        Some(place)
    }

    /// Whether it has room now.
    fn poll(&self, place: &mut Option<line::Place>) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        while let Some(at) = place {
            if at.poll_called(&mut cx).is_pending() {
                return false;
            }
            if self.take() {
                place.take().expect("it has one").leave();
            } else {
                at.wait_again();
            }
            self.call();
        }
        true
    }
}

/// Until nobody gets on: whoever has been called and has not looked would be woken.
fn settle(room: &Room, places: &mut [&mut Option<line::Place>]) -> usize {
    for _ in 0..places.len() {
        for place in &mut *places {
            room.poll(place);
        }
    }
    places.iter().filter(|place| place.is_none()).count()
}

#[test]
fn nobody_waits_while_there_is_room_whoever_gives_back() {
    loom::model(|| {
        let room = Room::new(0);
        let gives = {
            let room = Arc::clone(&room);
            thread::spawn(move || {
                room.give();
                room.give();
            })
        };
        let mut first = room.enter();
        let mut second = room.enter();
        gives.join().unwrap();
        assert_eq!(settle(&room, &mut [&mut first, &mut second]), 2);
        assert_eq!(room.free(), 0);
    });
}

#[test]
fn nobody_waits_while_there_is_room_though_another_is_faster() {
    loom::model(|| {
        let room = Room::new(1);
        assert!(room.take());
        let mut first = room.enter();
        let newcomer = {
            let room = Arc::clone(&room);
            thread::spawn(move || {
                // Room without a look at the line.
                if room.take() {
                    room.give();
                }
            })
        };
        room.give();
        room.poll(&mut first);
        newcomer.join().unwrap();
        assert_eq!(settle(&room, &mut [&mut first]), 1);
        assert_eq!(room.free(), 0);
    });
}

#[test]
fn who_is_called_and_gives_up_hands_the_call_on() {
    loom::model(|| {
        let room = Room::new(0);
        let first = room.enter();
        let mut second = room.enter();
        let gives_up = thread::spawn(move || drop(first));
        room.give();
        gives_up.join().unwrap();
        assert_eq!(settle(&room, &mut [&mut second]), 1);
        assert!(room.line.is_empty());
    });
}

#[test]
fn two_who_join_while_room_is_given_back_are_both_called() {
    loom::model(|| {
        let room = Room::new(1);
        let other = {
            let room = Arc::clone(&room);
            thread::spawn(move || {
                let mut place = room.enter();
                if room.poll(&mut place) {
                    room.give();
                }
                place
            })
        };
        let mut place = room.enter();
        if room.poll(&mut place) {
            room.give();
        }
        let mut theirs = other.join().unwrap();
        // Whoever has not had it yet gets it, and gives it back.
        let mine = &mut place;
        for place in [mine, &mut theirs] {
            if place.is_some() {
                assert!(room.poll(place), "it waits while there is room");
                room.give();
            }
        }
        assert_eq!(room.free(), 1);
        assert!(room.line.is_empty());
    });
}

#[test]
fn room_of_no_use_to_the_first_reaches_the_second() {
    loom::model(|| {
        let room = Room::new(0);
        let mut first = room.enter().expect("there is no room");
        let mut second = room.enter();
        let give = {
            let room = Arc::clone(&room);
            thread::spawn(move || {
                room.free.fetch_add(1, Ordering::Release);
                room.line.call_next();
            })
        };
        let mut cx = Context::from_waker(Waker::noop());
        if first.poll_called(&mut cx).is_ready() {
            first.pass_on();
        }
        give.join().unwrap();
        if first.poll_called(&mut cx).is_ready() {
            first.pass_on();
        }
        assert!(room.poll(&mut second));
        assert!(first.poll_called(&mut cx).is_pending());
    });
}

/// A backend that takes one request at once, as those who wait for it use it.
struct Narrow {
    live: Arc<Live>,
    lines: Arc<Lines>,
    inside: AtomicU32,
}

impl Narrow {
    /// With one request in flight.
    fn full() -> Arc<Self> {
        let live = live();
        let lines = Arc::new(Lines::new(8, false));
        live.set_limit(Some(MaxInFlight::Fixed(1)), &lines);
        let inside = AtomicU32::new(0);
        let narrow = Self {
            live,
            lines,
            inside,
        };
        assert!(narrow.take(false));
        Arc::new(narrow)
    }

    fn take(&self, called: bool) -> bool {
        let taken = self.live.enter_below(1, called).is_some();
        if taken {
            let others = self.inside.fetch_add(1, Ordering::Relaxed);
            assert_eq!(others, 0, "two are inside");
        }
        taken
    }

    fn give(&self) {
        self.inside.fetch_sub(1, Ordering::Relaxed);
        self.live.leave();
    }

    /// Takes the room at once, or waits for it.
    fn enter(&self) -> Option<line::Place> {
        if self.take(false) {
            return None;
        }
        let place = Line::join(&self.lines.anyone, Waker::noop()).expect("room in the line");
        let looks = place.came_first();
        self.wait(place, looks)
    }

    /// Whether it still waits.
    fn wait(&self, mut place: line::Place, mut looks: bool) -> Option<line::Place> {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            let called = place.poll_called(&mut cx).is_ready();
            if !called && !looks {
                return Some(place);
            }
            if self.take(true) {
                place.leave();
                self.lines.call_next();
                return None;
            }
            looks = called;
            if called {
                place.wait_again();
            }
        }
    }

    /// All who wait get it, one after the other.
    fn serve(&self, waiting: impl IntoIterator<Item = Option<line::Place>>) {
        let mut waiting: Vec<_> = waiting.into_iter().flatten().collect();
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting = waiting
                .into_iter()
                .filter_map(|place| {
                    let place = self.wait(place, false);
                    if place.is_none() {
                        self.give();
                    }
                    place
                })
                .collect();
            assert!(waiting.len() < before, "they wait while there is room");
        }
        assert_eq!((self.live.in_flight(), self.lines.len()), (0, 0));
    }
}

/// Every interleaving would take minutes, or hours with a third thread.
fn check_most(model: impl Fn() + Sync + Send + 'static) {
    let mut most = loom::model::Builder::new();
    most.preemption_bound = Some(3);
    most.check(model);
}

#[test]
fn whoever_comes_while_a_full_backend_becomes_free_gets_it() {
    check_most(|| {
        let narrow = Narrow::full();
        let comes = {
            let narrow = Arc::clone(&narrow);
            thread::spawn(move || {
                let place = narrow.enter();
                if place.is_none() {
                    narrow.give();
                }
                place
            })
        };
        narrow.give();
        let mine = narrow.enter();
        if mine.is_none() {
            narrow.give();
        }
        let theirs = comes.join().unwrap();
        narrow.serve([mine, theirs]);
    });
}

#[test]
fn two_who_come_at_once_do_not_both_leave_it_to_the_other_to_look() {
    check_most(|| {
        let narrow = Narrow::full();
        let come = [(); 2].map(|()| {
            let narrow = Arc::clone(&narrow);
            thread::spawn(move || {
                let place = narrow.enter();
                if place.is_none() {
                    narrow.give();
                }
                place
            })
        });
        narrow.give();
        let waiting = come.map(|comes| comes.join().unwrap());
        narrow.serve(waiting);
    });
}

#[test]
fn who_was_called_and_gives_up_leaves_the_backend_to_the_next() {
    loom::model(|| {
        let narrow = Narrow::full();
        let first = narrow.enter();
        let second = narrow.enter();
        let gives_up = thread::spawn(move || drop(first));
        narrow.give();
        gives_up.join().unwrap();
        narrow.serve([second]);
    });
}
