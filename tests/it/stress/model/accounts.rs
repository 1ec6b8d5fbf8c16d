//! The accounts of the reference model, with their names and their own votes.

use serde_json::{Value, json};

use super::expected_response::{ExpectedResponse, Rejected, reject, respond};
use super::reference_model::{Mode, Model, TOKEN_LIFETIME_SECONDS, Token, not_owner, time};
use super::step::By;

#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) email: String,
    pub(super) password: String,
    created_at: i64,
    name: Option<String>,
}

/// Returns the e-mail by which an account is found: the domain is lowercase.
fn normalized_email(email: &str) -> Option<String> {
    let (local, domain) = email.split_once('@')?;
    Some(format!("{local}@{}", domain.to_lowercase()))
}

impl<M: Mode> Model<M> {
    pub(super) fn sign_up(
        &mut self,
        email: &str,
        password: &str,
    ) -> Result<ExpectedResponse, Rejected> {
        let account = normalized_email(email).ok_or_else(|| respond(422, Value::Null))?;
        if password.len() < 8 && !M::IS_REFERENCE {
            return Err(respond(422, Value::Null));
        }
        if self.users.values().any(|user| user.email == account) {
            return Err(reject(409, "a user with this email already exists"));
        }
        let (email, password) = (account, password.to_owned());
        let user = User { email, password, created_at: self.now, name: None };
        self.users.insert(self.users_created, user);
        self.users_created += 1;
        let created = self.users_created - 1;
        Ok(respond(201, self.show_user(created, Some(created))))
    }

    pub(super) fn log_in(
        &mut self,
        email: &str,
        password: &str,
    ) -> Result<ExpectedResponse, Rejected> {
        let account = normalized_email(email);
        let is_it =
            |user: &User| Some(&user.email) == account.as_ref() && user.password == password;
        let found = self.users.iter().find(|(_, user)| is_it(user)).map(|(user, _)| *user);
        let user = found.ok_or_else(|| reject(403, "invalid credentials"))?;
        self.tokens
            .push(Token { user, expires: self.now.div_euclid(1_000_000) + TOKEN_LIFETIME_SECONDS });
        Ok(respond(200, Value::Null))
    }

    fn find_user(&self, user: usize) -> Result<(), Rejected> {
        if self.users.contains_key(&user) {
            return Ok(());
        }
        Err(reject(404, format!("the user with the id:user#{user}# was no found")))
    }

    /// An invalid token is treated like none.
    pub(super) fn get_user(
        &self,
        by: By,
        user: usize,
        has_name: bool,
    ) -> Result<ExpectedResponse, Rejected> {
        self.find_user(user)?;
        let mut shown = self.show_user(user, self.caller(by).ok());
        if has_name {
            shown["name"] = self.name(user);
        }
        Ok(respond(200, shown))
    }

    pub(super) fn get_me(&self, by: By) -> Result<ExpectedResponse, Rejected> {
        let caller = self.caller(by)?;
        let mut shown = self.show_user(caller, Some(caller));
        shown["name"] = self.name(caller);
        Ok(respond(200, shown))
    }

    pub(super) fn change_name(
        &mut self,
        by: By,
        name: Option<&str>,
    ) -> Result<ExpectedResponse, Rejected> {
        let caller = self.caller(by)?;
        let name = name.map(str::trim);
        if name.is_some_and(|name| !(1..=64).contains(&name.chars().count())) {
            return Err(respond(422, Value::Null));
        }
        self.users.get_mut(&caller).unwrap().name = name.map(str::to_owned);
        self.get_me(by)
    }

    fn name(&self, user: usize) -> Value {
        json!(self.users[&user].name)
    }

    /// Adds the parts that `include` names.
    pub(super) fn with_parts(
        &self,
        mut shown: Value,
        post: usize,
        to: usize,
        include: &str,
    ) -> Value {
        if include.contains("my_vote") {
            shown["my_vote"] = json!(self.votes.get(&(post, to)).unwrap_or(&0));
        }
        if include.contains("owner") {
            let owner = self.posts[&post].owner;
            shown["owner"] = json!({"id": format!("user#{owner}#"), "name": self.name(owner)});
        }
        shown
    }

    pub(super) fn list_my_votes(
        &self,
        by: By,
        limit: Option<usize>,
    ) -> Result<ExpectedResponse, Rejected> {
        let caller = self.caller(by)?;
        let own = self
            .votes
            .iter()
            .rev()
            .filter(|((post, voter), _)| *voter == caller && self.is_visible(*post, caller));
        let shown = own
            .take(limit.unwrap_or(100))
            .map(|((post, _), dir)| json!({"post_id": format!("post#{post}#"), "dir": dir}));
        Ok(respond(200, shown.collect()))
    }

    fn show_user(&self, user: usize, to: Option<usize>) -> Value {
        let shown = &self.users[&user];
        let email = (M::IS_REFERENCE || to == Some(user)).then_some(&shown.email);
        let id = format!("user#{user}#");
        json!({"id": id, "created_at": time(shown.created_at), "email": email})
    }

    pub(super) fn delete_account(
        &mut self,
        by: By,
        user: usize,
    ) -> Result<ExpectedResponse, Rejected> {
        let caller = self.caller(by)?;
        self.find_user(user)?;
        if caller != user {
            return Err(not_owner());
        }
        self.delete_user(caller);
        Ok(respond(204, Value::Null))
    }

    pub(super) fn delete_user(&mut self, user: usize) {
        self.users.remove(&user);
        let theirs = self.posts.iter().filter(|(_, post)| post.owner == user);
        for post in theirs.map(|(post, _)| *post).collect::<Vec<_>>() {
            self.delete_post(post);
        }
        self.votes.retain(|(_, voter), _| *voter != user);
        self.keys.delete_user(user);
    }
}
