//! Names in the `.env` file and the environment: misspelt settings, names of other programs, and
//! secrets that stand where a name should stand.

use post_api::config::{SETTINGS, Settings, Source};

use super::settings::GOOD_SECRET;

fn read(text: &str) -> Source {
    Source::from_parts(text, Vec::new())
}

/// Returns the texts of the errors of a file that is rejected.
#[track_caller]
fn errors(text: &str) -> Vec<String> {
    let errors = Settings::load(&read(text)).expect_err(text);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn misspelt_name_in_the_file_is_an_error_that_names_the_setting() {
    for (written, meant) in [
        ("DATABSE_URL", "DATABASE_URL"),
        ("DATABASE_ULR", "DATABASE_URL"),
        ("DATABASEURL", "DATABASE_URL"),
        ("DATABASE_URI", "DATABASE_URL"),
        ("DATABASE_HOST", "DATABASE_HOSTNAME"),
        ("DATABASE_PASS", "DATABASE_PASSWORD"),
        ("DATABSE_PASSWRD", "DATABASE_PASSWORD"),
        ("SECRETKEY", "SECRET_KEY"),
        ("SECRET_KEY_FIEL", "SECRET_KEY_FILE"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
        ("RATE_LIMIT", "RATE_LIMITS"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("PORTS", "PORT"),
        ("HSOT", "HOST"),
        ("ACCESS_TOKEN_EXPIRES_MINUTES", "ACCESS_TOKEN_EXPIRE_MINUTES"),
    ] {
        let expected = format!(
            "{written} in line 2 of the env file: is no setting; did you mean {meant}=? Otherwise \
             rename it, or put it into another file"
        );
        assert_eq!(errors(&format!("# comment\n{written}=sqlite:posts.db\n")), [expected]);
    }
}

/// Only a name in capitals without digits is repeated: anything else can be a secret.
#[test]
fn misspelt_name_in_another_form_is_an_error_with_its_line() {
    for (written, meant) in [
        ("databse_url=x", "DATABASE_URL"),
        ("Databse_Url=x", "DATABASE_URL"),
        ("ARGON2_MEMORY_KB=8", "ARGON2_MEMORY_KIB"),
        ("SECRET_KEY2=x", "SECRET_KEY"),
        ("PORT:8000", "PORT"),
        ("'DATABASE_URL '=x", "DATABASE_URL"),
    ] {
        let expected = format!(
            "line 1 of the env file: is no setting; did you mean {meant}=? Otherwise rename it, or \
             put it into another file"
        );
        assert_eq!(errors(written), [expected], "{written}");
    }
}

#[test]
fn every_name_without_one_of_its_letters_is_recognized() {
    for setting in SETTINGS {
        for letter in 0..setting.name.len() {
            let mut written = setting.name.to_owned();
            written.remove(letter);
            if !SETTINGS.iter().any(|setting| setting.name == written) {
                let errors = errors(&format!("{written}=x\n"));
                assert!(errors[0].contains("did you mean"), "{written}: {errors:?}");
            }
        }
    }
}

#[test]
fn names_of_other_programs_are_accepted_and_reported_by_line() {
    let names = [
        "POSTGRES_USER",
        "POSTGRES_PASSWORD",
        "DATABASE",
        "DATABASE_TYPE",
        "DB_URL",
        "REDIS_URL",
        "SMTP_HOST",
        "SERVER_PORT",
        "HOSTNAME",
        "LOG_FILE",
        "SECRET",
        "API_KEY",
        "DEBUG",
        "PATH",
        "TZ",
        "",
    ];
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        let source = read(&format!("PORT=1\n\n{name}=x\n"));
        assert_eq!(source.unknown_lines, [3], "{name}");
        assert_eq!(Settings::load(&source).unwrap().port, 1, "{name}");
    }
}

#[test]
fn secret_in_the_place_of_a_name_is_never_repeated() {
    let other = "b9d1c6f7a2e3d4c5b6a7988990a1b2c3";
    for text in [
        format!("SECRET_KEYS={GOOD_SECRET},\n{other}\n"),
        format!("SECRET_KEYS={GOOD_SECRET},\n{other}=\n"),
        format!("SECRET_KEY:{other}\n"),
        format!("SECRET_KEY: {other}\n"),
        format!("SECRET_KEY {other}\n"),
        format!("SECRET_KEY={GOOD_SECRET}\n'{other}'=\n"),
        format!("{other}\n"),
        format!("{}\n", other.to_uppercase()),
        format!("DATABASE_PASSWORD:{other}\n"),
        "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF\n".to_owned(),
    ] {
        let source = read(&text);
        let errors = Settings::load(&source).err().unwrap_or_default();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let errors = errors.join("\n").to_lowercase();
        assert!(!errors.contains(other), "{text}: {errors}");
        assert!(!errors.contains("abcdefghij"), "{text}: {errors}");
        let is_reported = !errors.is_empty()
            || !source.unknown_lines.is_empty()
            || !source.unreadable_lines.is_empty();
        assert!(is_reported, "{text}");
    }
}

#[test]
fn misspelt_variable_is_reported_unless_the_setting_is_given() {
    let misspelt = |pairs: &[(&str, &str)]| {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let source = Source::from_parts("", pairs.iter().map(own).collect());
        Settings::load(&source).expect("a variable of another program is no error");
        let found = source.misspelt_variables();
        found.into_iter().map(|(name, meant)| format!("{name} {meant}")).collect::<Vec<_>>()
    };
    assert_eq!(misspelt(&[("DATABSE_URL", "x")]), ["DATABSE_URL DATABASE_URL"]);
    assert_eq!(misspelt(&[("secret_kee", "x")]), ["SECRET_KEE SECRET_KEY"]);
    let given = [("DATABASE_URI", "x"), ("DATABASE_URL", "sqlite:posts.db")];
    assert_eq!(misspelt(&given), [""; 0]);
    // Short names belong to many programs.
    assert_eq!(misspelt(&[("HOSTS", "x"), ("PORTS", "1"), ("HOSTNAME", "x")]), [""; 0]);
}

#[test]
fn blank_list_of_origins_allows_none() {
    use post_api::server::AllowedOrigins;
    let origins = |text: &str, environment: &[(&str, &str)]| {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let source = Source::from_parts(text, environment.iter().map(own).collect());
        Settings::load(&source).unwrap().cors_origins
    };
    let none = AllowedOrigins::Listed(Vec::new());
    assert_eq!(origins("", &[]), AllowedOrigins::Any);
    assert_eq!(origins("CORS_ORIGINS\n", &[]), AllowedOrigins::Any);
    assert_eq!(origins("CORS_ORIGINS=\n", &[]), none);
    assert_eq!(origins("CORS_ORIGINS=*\n", &[("CORS_ORIGINS", " ")]), none);
    assert_eq!(origins("CORS_ORIGINS=\n", &[("CORS_ORIGINS", "*")]), AllowedOrigins::Any);
}

#[test]
fn password_on_the_command_line_is_warned_about() {
    for (url, is_exposed) in [
        ("postgresql://ada:hunter2@db/posts", true),
        ("postgresql://ada:hun:ter2@db/posts", true),
        ("postgresql://ada@db/posts?password=hunter2", true),
        ("postgresql://ada@db/posts?sslmode=require&sslpassword=hunter2", true),
        ("postgresql://ada@db:5432/posts", false),
        ("postgresql://ada:@db/posts", false),
        ("postgresql://db:5432/posts?password=", false),
        ("sqlite:a:b@c.db", false),
    ] {
        let mut source = read("");
        source.set("DATABASE_URL", url.to_owned());
        let warning = source.password_on_command_line();
        assert_eq!(warning.is_some(), is_exposed, "{url}");
        if let Some(warning) = warning {
            assert_eq!(warning.name, "--database-url");
            assert!(warning.hint.contains("DATABASE_URL_FILE"), "{warning}");
            assert!(!warning.to_string().contains("hunter2"), "{warning}");
        }
        let source = read(&format!("DATABASE_URL='{url}'\n"));
        assert_eq!(source.password_on_command_line(), None, "{url} in the file");
    }
}
