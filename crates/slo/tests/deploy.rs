//! Rules and dashboard in `deploy/` are what `pitchover slo rules` and `slo dashboard` make of `slo.toml`;
//! `UPDATE_EXPECT=1 cargo test -p slo --test deploy` writes them anew.

use expect_test::expect_file;
use slo::{Objectives, dashboard, rules};

fn objectives() -> Objectives {
    Objectives::read("slo.toml", include_str!("../../../slo.toml")).expect("the repository's own")
}

#[test]
fn rules_of_deploy_are_those_of_the_objectives() {
    expect_file!["../../../deploy/config/rules.yml"].assert_eq(&rules(&objectives()));
}

#[test]
fn dashboard_of_deploy_is_that_of_the_objectives() {
    expect_file!["../../../deploy/config/dashboard.json"].assert_eq(&dashboard(&objectives()));
}
