// The OpenAPI document as Swagger UI shows it; calls are made with the key that the console was given in this tab, in the
// theme that the console has.
document.documentElement.classList.toggle("dark-mode", document.documentElement.dataset.theme === "dark");
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  tryItOutEnabled: false,
  requestInterceptor: (request) => {
    const key = sessionStorage.getItem("posterity-key");
    if (key && !request.headers.Authorization) request.headers.Authorization = `Bearer ${key}`;
    return request;
  },
});
