// Starts Swagger UI. A file of its own, so that the page needs no inline script.
const page = document.getElementById("swagger-ui");

window.ui = SwaggerUIBundle({
  url: page.dataset.document,
  dom_id: "#swagger-ui",
  deepLinking: true,
  oauth2RedirectUrl: new URL(page.dataset.redirect, window.location).href,
  // A reload keeps the login.
  persistAuthorization: true,
  presets: [SwaggerUIBundle.presets.apis],
  // ?url= of the page's address is not looked at, and no validator is asked.
  queryConfigEnabled: false,
  validatorUrl: null,
});
