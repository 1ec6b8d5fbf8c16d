//! Accounts sign up, log in and sign out. At random, the database is replaced by an earlier backup, as
//! the documentation says, or by a new one, and IDs are given again. After every step each token that was ever issued is sent:
//! it opens the account of its e-mail, or nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stress::budget::Budget;
use crate::stress::rng::Rng;
use crate::support::{Engine, PASSWORD, Setup, TestApp};

const STEPS_PER_ROUND: u64 = 40;

#[tokio::test]
async fn token_never_opens_another_account_on_sqlite() {
    run(Engine::Sqlite, Budget::new("identity, embedded", 2)).await;
}

#[tokio::test]
async fn token_never_opens_another_account_on_postgresql() {
    run(Engine::Postgres, Budget::new("identity, PostgreSQL", 1)).await;
}

/// A token, and the e-mail of the account that it was issued for.
struct Token {
    email: String,
    text: String,
}

#[derive(Default)]
struct Figures {
    sign_ups: u64,
    /// Accounts that got the ID of an earlier one.
    reused_ids: u64,
    losses: u64,
    accepted: u64,
    rejected: u64,
}

struct World {
    app: TestApp,
    backups: Vec<TestApp>,
    /// The accounts that the current database has.
    emails: Vec<String>,
    emails_of_backups: Vec<Vec<String>>,
    tokens: Vec<Token>,
    ids: BTreeSet<i64>,
    figures: Figures,
}

async fn run(engine: Engine, mut budget: Budget) {
    let mut total = Figures::default();
    while let Some(seed) = budget.next_round() {
        let mut rng = Rng::new(seed);
        let app = TestApp::set_up(Setup { engine, ..Setup::default() }).await;
        let mut world = World {
            app,
            backups: Vec::new(),
            emails: Vec::new(),
            emails_of_backups: Vec::new(),
            tokens: Vec::new(),
            ids: BTreeSet::new(),
            figures: Figures::default(),
        };
        for _ in 0..STEPS_PER_ROUND {
            // Accounts of one second cannot be told apart by their tokens.
            world.app.clock.advance(1 + i64::try_from(rng.below(3)).unwrap());
            world.step(&mut rng).await;
            world.send_every_token(&budget).await;
        }
        total.sign_ups += world.figures.sign_ups;
        total.reused_ids += world.figures.reused_ids;
        total.losses += world.figures.losses;
        total.accepted += world.figures.accepted;
        total.rejected += world.figures.rejected;
    }
    assert!(total.accepted > 0 && total.rejected > 0, "no token was accepted, or none rejected");
    budget.report("sign-ups", total.sign_ups);
    budget.report("sign-ups that got the ID of an earlier account", total.reused_ids);
    budget.report("losses of the database", total.losses);
    budget.report("tokens accepted by their own account", total.accepted);
    budget.report("tokens rejected", total.rejected);
}

impl World {
    async fn step(&mut self, rng: &mut Rng) {
        match rng.below(16) {
            0..6 => self.sign_up().await,
            6..10 if !self.emails.is_empty() => {
                let email = rng.pick(&self.emails).clone();
                self.log_in(email).await;
            }
            10 if !self.emails.is_empty() => {
                let email = rng.pick(&self.emails).clone();
                let text = self.log_in(email).await;
                self.app.with_token(&text).post("/logout", &json!({})).await.expect(204);
            }
            11 => {
                self.sign_out_all().await;
            }
            12 | 13 => {
                self.backups.push(self.app.restored_copy());
                self.emails_of_backups.push(self.emails.clone());
            }
            14 if !self.backups.is_empty() => {
                let number = rng.below(u64::try_from(self.backups.len()).unwrap());
                let number = usize::try_from(number).unwrap();
                self.app = self.backups[number].restored_copy();
                self.emails = self.emails_of_backups[number].clone();
                self.figures.losses += 1;
                // As the documentation says. A new database that served meanwhile gave the IDs of the
                // restored accounts to others.
                self.sign_out_all().await;
            }
            15 => {
                self.app = self.app.with_empty_database().await;
                self.emails.clear();
                self.figures.losses += 1;
            }
            _ => {}
        }
    }

    async fn sign_out_all(&self) {
        let mut admin = self.app.admin().await;
        admin.sign_out_all(self.app.now()).await.unwrap();
    }

    async fn sign_up(&mut self) {
        self.figures.sign_ups += 1;
        let name = format!("user{}", self.figures.sign_ups);
        let id = self.app.sign_up(&name).await;
        self.figures.reused_ids += u64::from(!self.ids.insert(id));
        let email = format!("{name}@example.com");
        self.emails.push(email.clone());
        self.log_in(email).await;
    }

    /// Logs in, and returns the token. Its account accepts it.
    async fn log_in(&mut self, email: String) -> String {
        let login = self.app.log_in(&email, PASSWORD).await.expect(200).json();
        let text = login["access_token"].as_str().unwrap().to_owned();
        let me = self.app.with_token(&text).get("/users/me").await.expect(200).json();
        assert_eq!(me["email"], Value::from(email.clone()));
        self.tokens.push(Token { email, text: text.clone() });
        text
    }

    async fn send_every_token(&mut self, budget: &Budget) {
        for token in &self.tokens {
            let response = self.app.with_token(&token.text).get("/users/me").await;
            if response.status == 401 {
                self.figures.rejected += 1;
                continue;
            }
            let me = response.expect(200).json();
            let found = me["email"].as_str().unwrap();
            assert_eq!(found, token.email, "{}", budget.name_round());
            self.figures.accepted += 1;
        }
    }
}
