//! An operator's access to the database of a running [`TestApp`].

use post_api::domain::email::TypedEmail;
use post_api::domain::user::UserId;
use post_api::store::OperatorStore;
use post_api::store::migrate::SchemaAdmin;
use post_api::store::postgres::{PostgresAdmin, PostgresOperator};
use post_api::store::sqlite::{SqliteAdmin, SqliteOperator};

use super::TestApp;
use super::app::TestDatabase;

impl TestApp {
    /// Returns the operator's access to the same database.
    pub async fn admin(&self) -> Box<dyn SchemaAdmin> {
        match &self.database {
            TestDatabase::Sqlite(folder) => {
                Box::new(SqliteAdmin::new(&folder.path().join("posts.db")))
            }
            TestDatabase::Postgres(database) => {
                Box::new(PostgresAdmin::connect(&database.address()).await.unwrap())
            }
            TestDatabase::Shared => panic!("only the first app can access its database"),
        }
    }

    /// Revokes all tokens of an account as an operator does. Returns whether the account exists.
    pub async fn sign_out(&self, email: &TypedEmail) -> bool {
        let mut operator = self.operator();
        let Some(account) = operator.find_account(email).await.unwrap() else { return false };
        operator.sign_out_account(account.user.id, self.now()).await.unwrap()
    }

    /// Gives the account the right of an administrator, or takes it away, as an operator does.
    pub async fn set_admin(&self, id: i64, is_admin: bool) {
        assert!(self.operator().set_admin(UserId(id), is_admin).await.unwrap());
    }

    fn operator(&self) -> Box<dyn OperatorStore> {
        match &self.database {
            TestDatabase::Sqlite(folder) => {
                Box::new(SqliteOperator::new(&folder.path().join("posts.db")))
            }
            TestDatabase::Postgres(database) => {
                Box::new(PostgresOperator::open(&database.address()).unwrap())
            }
            TestDatabase::Shared => panic!("only the first app can access its database"),
        }
    }
}
