use std::process::ExitCode;

use uschat_server::store::mysql::{MysqlOptions, MysqlStore};

use crate::{
    StartError,
    config::{Backends, Database, Named},
    server::{Needs, Storage, open_error, say},
};

/// Brings a database up to date as every start does, or only says what that would change.
pub(super) async fn run(database: Named<Database>, dry_run: bool) -> Result<ExitCode, StartError> {
    if dry_run {
        let Database::Mysql(url) = &database.value else {
            let problem = "only what a start would change in MySQL or MariaDB can be shown";
            return Err(StartError::new(database.key, problem, "name one as --sql mysql://user:pass@host:port/db"));
        };
        let steps = MysqlStore::dry_run(url.expose(), &MysqlOptions::default()).await;
        let steps = steps.map_err(|error| open_error(&database.key, &error))?;
        say(&match steps.as_slice() {
            [] => "The database is up to date; nothing would change.\n".to_owned(),
            steps => format!("This would change:\n  {}\nNothing was changed.\n", steps.join("\n  ")),
        });
        return Ok(ExitCode::SUCCESS);
    }
    let needs = Needs { database: true, ..Needs::default() };
    let storage = Storage::open(&Backends { database, redis: None, smtp: None }, needs).await?;
    storage.close().await;
    say("The database is up to date.\n");
    Ok(ExitCode::SUCCESS)
}
