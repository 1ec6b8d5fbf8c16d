// Starts Swagger UI. A separate file, so that the page needs no inline script.
const page = document.getElementById("swagger-ui");

// Keeps only the token of a login: later users of the browser could read a stored password.
const keepOnlyToken = () => ({
  statePlugins: {
    auth: {
      wrapActions: {
        authorizeOauth2: (authorize) => ({ auth, token }) =>
          authorize({ auth: { ...auth, username: "", password: "", clientSecret: "" }, token }),
      },
    },
  },
});

window.ui = SwaggerUIBundle({
  url: page.dataset.document,
  dom_id: "#swagger-ui",
  deepLinking: true,
  oauth2RedirectUrl: new URL(page.dataset.redirect, window.location).href,
  // A reload keeps the login.
  persistAuthorization: true,
  plugins: [keepOnlyToken],
  presets: [SwaggerUIBundle.presets.apis],
  // Ignores the query parameter ?url=, and calls no external validator.
  queryConfigEnabled: false,
  validatorUrl: null,
});
