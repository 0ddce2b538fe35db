use super::{super::cases::CASES, *};

fn cell(client: Client, seconds: &[f64], cpu: f64, peak: u64) -> Cell {
    let run = |seconds: &f64| Run {
        seconds: *seconds,
        cpu: Some(cpu),
        peak: Some(peak),
    };
    Cell {
        client,
        runs: seconds.iter().map(run).collect(),
        trouble: None,
    }
}

fn case(name: &str) -> &'static Case {
    CASES.iter().find(|case| case.name == name).unwrap()
}

#[test]
fn a_median_is_in_the_middle() {
    for (values, middle) in [
        (&[][..], None),
        (&[3.0], Some(3.0)),
        (&[9.0, 1.0], Some(5.0)),
        (&[9.0, 1.0, 2.0], Some(2.0)),
        (&[4.0, 1.0, 2.0, 100.0], Some(3.0)),
    ] {
        assert_eq!(median(values.iter().copied()), middle, "{values:?}");
    }
}

#[test]
fn a_table_has_straight_columns() {
    let rows = [["a", "bé"], ["long", "–"]].map(|row| row.map(str::to_owned).to_vec());
    assert_eq!(
        table(&rows),
        "| a    | bé |\n|------|----|\n| long | –  |\n"
    );
}

#[test]
fn ratios_are_held_against_the_budget() {
    let mut section = Section::new(case("small"), 50_000, 204_800_000);
    section.cells = vec![
        cell(Client::Backupwatch, &[2.0, 9.0, 4.0], 1.0, 12 << 20),
        cell(Client::Drain, &[2.0], 0.5, 1 << 20),
        cell(Client::Copy, &[3.0], 0.5, 1 << 20),
        cell(Client::Idevice, &[20.0], 3.0, 6 << 20),
        cell(Client::Idevicebackup2, &[10.0], 7.0, 8 << 20),
    ];
    assert_eq!(
        section.findings(),
        [
            "time, ours ÷ drain: 2.00",
            "time, copy ÷ ours: 0.75 (where the disk is the limit: at least 0.8, UNDER)",
            "time, best peer (idevicebackup2) ÷ ours: 2.50 (budget: at least 2, PASS)",
            "CPU, best peer (idevice) ÷ ours: 3.00",
            "memory: 12.0 MiB (budget: at most 16, PASS)",
        ]
    );
    let rows = section.rows();
    assert_eq!(
        rows[1],
        [
            "backupwatch",
            "4.00 s",
            "51",
            "12500",
            "1.00 s",
            "12.0 MiB",
            "3"
        ]
    );

    section.case = case("large");
    section.cells[0] = cell(Client::Backupwatch, &[2.4], 1.0, 17 << 20);
    let findings = section.findings();
    assert_eq!(
        findings[0],
        "time, ours ÷ drain: 1.20 (budget: at most 1.15, OVER)"
    );
    assert_eq!(findings[4], "memory: 17.0 MiB (budget: at most 16, OVER)");

    // A copy that takes less than the phone, the socket and TLS do: what limits ours is not the disk.
    section.cells[2] = cell(Client::Copy, &[1.8], 0.5, 1 << 20);
    assert_eq!(
        section.findings()[1],
        "time, copy ÷ ours: 0.75 (here the disk is not the limit)"
    );

    section.case = case("incremental");
    section.cells[0] = cell(Client::Backupwatch, &[6.0], 1.0, 1 << 20);
    assert!(section.findings()[2].ends_with("1.67 (budget: at least 2, UNDER)"));
    assert_eq!(section.rows()[1][2..4], ["–", "–"]);
}

#[test]
fn a_client_that_failed_says_why_and_is_nobodys_best() {
    let mut section = Section::new(case("small"), 10, 10);
    section.cells = vec![
        cell(Client::Backupwatch, &[2.0], 1.0, 1),
        cell(Client::Idevice, &[], 1.0, 1),
    ];
    section.cells[1].trouble = Some("exit status: 1: no such phone".to_owned());
    let text = section.text();
    assert!(
        text.contains("| 0, then: exit status: 1: no such phone |"),
        "{text}"
    );
    assert!(!text.contains("best peer"), "{text}");
}

#[test]
fn what_was_left_out_is_said_on_the_page() {
    let section = Section::left_out(case("large"), "there is no room");
    let page = page(
        &["date: today".to_owned()],
        &[(section.case.title(), section.text())],
        false,
    );
    assert!(page.contains("- date: today\n"));
    assert!(page.contains(
        "## large: one file of 8 GB and 200 of 10 MB, over TLS\n\nLEFT OUT: there is no room.\n"
    ));
}
