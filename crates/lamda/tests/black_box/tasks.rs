//! Tasks from data: shown, trained on, and refused with every fault named.

use crate::common::Place;

/// Two classes of series, rising and falling, in 24 files.
fn recordings(place: &Place) {
    for (class, slope) in [("up", 1.0), ("down", -1.0)] {
        std::fs::create_dir_all(place.path(&format!("data/{class}"))).unwrap();
        for i in 0..12 {
            let value = |t: i32| f64::from(t) * slope + f64::from((t * (i + 3)) % 5) / 4.0;
            let rows: String = (0..32).map(|t| format!("{}\n", value(t))).collect();
            place.file(&format!("data/{class}/{class}{i}.csv"), format!("x\n{rows}"));
        }
    }
    place.file(
        "data/task.toml",
        "schema = 1\nname = \"slopes\"\n[data]\nwindow = 16\n[split]\ngroup = \"path\"\n",
    );
}

#[test]
fn a_folder_is_shown_and_trained_on() {
    let place = Place::new();
    recordings(&place);
    let shown = place.run(&["task", "show", "data"]).ends(0);
    for word in ["slopes", "signal f32[N, 1, 16]", "windows of 16 points", "down", "▁"] {
        assert!(shown.stdout.contains(word), "{word}: {}", shown.stdout);
    }
    let object = place.run(&["task", "show", "data", "--json"]).ends(0);
    let object = object.json(&["kind", "layout", "class_counts", "preprocessing", "remarks"]);
    assert_eq!((&object["classes"][0], &object["samples"]["train"]), (&"down".into(), &32.into()));
    place.file("net.lamda", object["reference"].as_str().unwrap());
    place.run(&["check", "--task", "data", "net.lamda"]).ends(0);
    let trained =
        place.run(&["train", "net.lamda", "--task", "data", "--epochs", "20", "--test", "--json"]).ends(0);
    assert!(trained.json(&["accuracy"])["accuracy"].as_f64().unwrap() > 0.9, "{trained:?}");
}

#[test]
fn faults_are_named_with_their_paths() {
    let place = Place::new();
    recordings(&place);
    place.file("data/up/up3.csv", "x\n1\n\n2\n");
    place.file("data/up/up4.csv", "x\n1\nnan\n");
    let words = ["up3.csv", "fewer than the window of 16", "up4.csv line 3", "nan"];
    place.run(&["task", "show", "data"]).fails(2, &words);
    place.run(&["train", "net.lamda", "--task", "data"]).fails(2, &words);
    place.file("data/task.toml", "schema = 1\nkimd = \"x\"\n");
    place.run(&["task", "show", "data"]).fails(2, &["task.toml", "kimd", "docs/tasks.md"]);
    std::fs::create_dir(place.path("empty")).unwrap();
    place.file("empty/readme.txt", "x");
    place.run(&["task", "show", "empty"]).fails(2, &["empty", "PNG"]);
}

#[test]
fn what_has_no_loss_yet_is_not_designed_for() {
    let place = Place::new();
    recordings(&place);
    place.file("data/task.toml", "schema = 1\nkind = \"anomaly\"\n[data]\nwindow = 16\nnormal = \"up\"\n");
    place.run(&["task", "show", "data"]).ends(0);
    place
        .run(&["design", "--task", "data", "--latency", "5ms", "--out", "out"])
        .fails(2, &["anomaly", "classification"]);
    assert!(!place.path("out").exists());
}
