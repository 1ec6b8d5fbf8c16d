// Starts Swagger UI. This is a separate file because the Content-Security-Policy forbids inline
// scripts.
const page = document.getElementById("swagger-ui");

// Stores only the access token of a login: later users of the browser could read a stored password
// or refresh token.
const keepOnlyToken = () => ({
  statePlugins: {
    auth: {
      wrapActions: {
        authorizeOauth2: (authorize) => ({ auth, token }) =>
          authorize({
            auth: { ...auth, username: "", password: "", clientSecret: "" },
            token: { ...token, refresh_token: "" },
          }),
      },
    },
  },
});

window.ui = SwaggerUIBundle({
  url: page.dataset.document,
  dom_id: "#swagger-ui",
  deepLinking: true,
  oauth2RedirectUrl: new URL(page.dataset.redirect, window.location).href,
  // The user stays logged in after a reload.
  persistAuthorization: true,
  plugins: [keepOnlyToken],
  presets: [SwaggerUIBundle.presets.apis],
  // A link with ?url= must not show another document, and no external validator may be called.
  queryConfigEnabled: false,
  validatorUrl: null,
});
