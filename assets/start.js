// Starts Swagger UI. A file of its own, so that the page needs no inline script.
const page = document.getElementById("swagger-ui");

// Of a login the token is kept, and nothing that was typed: whoever comes to the browser later would read it.
const forgetful = () => ({
  statePlugins: {
    auth: {
      wrapActions: {
        authorizeOauth2: (keep) => ({ auth, token }) =>
          keep({ auth: { ...auth, username: "", password: "", clientSecret: "" }, token }),
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
  plugins: [forgetful],
  presets: [SwaggerUIBundle.presets.apis],
  // ?url= of the page's address is not looked at, and no validator is asked.
  queryConfigEnabled: false,
  validatorUrl: null,
});
